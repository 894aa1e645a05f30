"""Plain predictors: what a better one has to beat, and what some spaces need no more than."""
