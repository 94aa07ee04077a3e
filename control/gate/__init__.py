"""Waiting for a rollout's decision on behalf of a pipeline, and reporting it in the forms pipelines read."""
