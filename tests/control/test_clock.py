"""The steady clock does not follow a step of the machine's clock."""

import time

import pytest

from control.clock import SteadyClock


def test_a_step_of_the_wall_clock_moves_no_steady_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who sets the clock an hour ahead ends no rollout step."""
    clock = SteadyClock()
    before = clock.steady()
    real = time.time

    monkeypatch.setattr(time, "time", lambda: real() + 3600)

    assert clock.steady() - before < 10
    assert clock.wall() - real() > 3599


def test_steady_time_never_runs_backwards_over_a_restart() -> None:
    """What was written down by a former process is a floor for the next one."""
    future = time.time() + 1000

    assert SteadyClock(floor=future).steady() >= future
    before = time.time()
    assert before - 1 < SteadyClock().steady() < time.time() + 1
