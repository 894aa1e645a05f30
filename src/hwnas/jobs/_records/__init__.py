"""What others read of a job: its trials, its train jobs, how it stands."""
