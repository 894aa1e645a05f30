"""A job's folder, in whatever store: the request, the job's life, its journal, its trials."""
