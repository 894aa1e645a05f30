"""Objects under a URL: what several machines of one job see."""
