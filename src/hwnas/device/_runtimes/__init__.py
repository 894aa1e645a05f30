"""The runtimes, and the forms of a model that they load."""
