"""Tests of what shadows have shown."""
