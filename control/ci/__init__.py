"""Pipelines for model releases: one model of the pipeline, rendered for four platforms."""
