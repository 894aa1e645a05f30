"""Running a job: from what was asked for to its winner."""
