"""The measurement store."""
