"""What a network takes, estimated from its parts."""
