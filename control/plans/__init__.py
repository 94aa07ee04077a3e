"""What a rollout is to do, read from a configuration."""
