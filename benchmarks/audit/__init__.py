"""What the audit log costs when it has become long."""
