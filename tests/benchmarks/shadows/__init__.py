"""Tests of the benchmark of shadows."""
