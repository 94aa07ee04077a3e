"""Signed HTTP requests to services of the operator: gates that are asked, receivers that are told."""
