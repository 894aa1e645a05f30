"""The measurement queue of a job: requests, claims with a lease, results, workers."""
