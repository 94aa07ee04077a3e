"""What holds for every test."""

from hypothesis import settings

# How long an example takes says something about the machine and its neighbours, nothing about the code.
settings.register_profile("headgate", deadline=None)
settings.load_profile("headgate")
