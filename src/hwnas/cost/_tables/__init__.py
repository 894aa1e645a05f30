"""Costs as small tables over decisions, and what can be told from them."""
