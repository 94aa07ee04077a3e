"""Releases of models: what they are called, where they may run, and who agreed."""
