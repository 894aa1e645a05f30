"""Descriptors of spaces: those with published latencies have one of their own."""
