"""Tests of comparing answers."""
