"""What trains trials: processes here, or elsewhere."""
