"""HTTP/1.1 on the wire: pure functions from bytes to values."""
