"""A space cut into parts that are measured once each, and their sum as a cost."""
