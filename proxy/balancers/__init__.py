"""Ways of choosing an endpoint inside an upstream, one a file."""
