"""The timing loop and what it makes: samples, intervals, conditions. Most of it needs no hwnas."""
