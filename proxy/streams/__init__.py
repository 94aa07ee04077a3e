"""What streams of tokens say about the arm that sends them: read from copies of the bytes that pass."""
