"""A job's folder, in whatever store: the request, the job's life, its trials, its records."""
