"""What may stand in the audit log beyond rollouts: one documented class an event, by the area it is about."""
