"""One kind of split a module; each registers itself under its kind."""
