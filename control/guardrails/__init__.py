"""One kind of guardrail a module; each registers itself under its kind."""
