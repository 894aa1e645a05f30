"""Measuring on another host."""
