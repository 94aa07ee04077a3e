"""Copies of requests to versions whose answers nobody gets: sent, bounded, counted, handed on."""
