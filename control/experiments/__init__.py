"""Experiments: variants compared on a route for as long as it takes to know."""
