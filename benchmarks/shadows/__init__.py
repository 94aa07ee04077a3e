"""What bad shadows do to the primary."""
