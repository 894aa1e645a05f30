"""Trainers and latency calculators that were written for Vertex AI NAS."""
