"""The control plane: outcomes, analysis, decisions, routing tables."""
