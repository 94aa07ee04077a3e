"""One running Headgate for all cases of a module."""

from collections.abc import Iterator

import pytest

from tests.conformance.bench import Bench


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A worker with time-outs that no case reaches."""
    running = Bench(tmp_path_factory.mktemp("bench"), limits={"body_bytes": 4096, "head_bytes": 16384})
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A worker that waits for nothing long."""
    timeouts = {"request_head": 0.4, "request_body_idle": 0.4, "first_byte": 0.4, "stream_idle": 0.4}
    running = Bench(tmp_path_factory.mktemp("hasty"), timeouts=timeouts)
    running.start()
    yield running
    running.stop()
