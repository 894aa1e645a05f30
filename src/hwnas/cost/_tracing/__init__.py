"""A forward without data: of one network, and of a template for all archs at once."""
