"""Long runs of the whole program under everything at once."""
