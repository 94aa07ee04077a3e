"""Tests of looking at streams of tokens."""
