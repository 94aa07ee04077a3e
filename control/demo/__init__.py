"""The whole story on one machine: sample model servers, traffic, releases."""
