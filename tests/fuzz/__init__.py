"""Inputs nobody thought of, found by what they reach in the parsers."""
