"""What a job measures on devices: its trials, and archs for predictors."""
