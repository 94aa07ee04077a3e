"""What holds for every test."""

import gc
import signal

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says something about the machine and its neighbours, nothing about the code.
settings.register_profile("headgate", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("headgate")

# What is loaded and collected stays: looking through it for what could be freed is a fifth of the time of it.
gc.disable()

# Whoever starts the tests in the background lets them ignore it, and what they start inherits that.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole programs first: their tests are few and long, and the last ones would leave processors idle."""
    items.sort(key=lambda item: "integration" not in item.path.parts)


def pytest_collection_finish() -> None:
    """From here on garbage is collected, in what the tests make."""
    gc.freeze()
    gc.enable()
