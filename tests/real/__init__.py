"""Headgate among model servers and clients that others wrote; `make test-real` installs and runs it all."""
