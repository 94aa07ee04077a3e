"""A child of the supervisor: started without asyncio or subprocess, and started again when it dies."""

import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Final

from proxy.launch import LISTENERS_VARIABLE, child_environment
from proxy.listeners import Listening
from proxy.processes import exit_text

RESTART_DELAY_FIRST: Final = 0.1
RESTART_DELAY_MAX: Final = 10.0
# Who lived this long is no part of a crash loop.
STEADY_SECONDS: Final = 30.0

# Python ignores these; a program that is started shall not inherit that.
_DEFAULT_SIGNALS: Final = (signal.SIGPIPE, signal.SIGXFSZ)


class Spawned:
    """One program that shall run, whatever happens to its process. `pid` is 0 while none runs."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        descriptors: Mapping[str, int],
        *,
        delay_max: float | None = None,
        listening: Listening | None = None,
    ) -> None:
        self.name = name
        # The sockets that the child is told of and inherits besides its descriptors.
        self.listening = listening
        self._delay_max = delay_max
        self.pid = 0
        self.starts = 0
        self.exit_code: int | None = None
        self._command = command
        # By the name of the environment variable that tells the child which one it is.
        self._descriptors = descriptors
        self._due = 0.0
        self._failures = 0
        self._started_at = 0.0

    @property
    def running(self) -> bool:
        """Whether a process of it has not been waited for yet."""
        return self.pid != 0

    def start_if_due(self) -> None:
        """Start the program if it does not run and its pause is over. Raises OSError."""
        if self.running or time.monotonic() < self._due:
            return
        variables = {name: str(number) for name, number in self._descriptors.items()}
        descriptors = [*self._descriptors.values()]
        if self.listening is not None:
            variables[LISTENERS_VARIABLE] = self.listening.to_text()
            descriptors += self.listening.descriptors
        for descriptor in descriptors:
            os.set_inheritable(descriptor, True)
        try:
            self.pid = os.posix_spawn(
                self._command[0],
                list(self._command),
                child_environment(variables),
                # A group of its own: an interrupt from the terminal is for the supervisor to pass on.
                setpgroup=0,
                setsigmask=(),
                setsigdef=_DEFAULT_SIGNALS,
            )
        finally:
            for descriptor in descriptors:
                os.set_inheritable(descriptor, False)
        self.starts += 1
        self._started_at = time.monotonic()

    def adopt(self, pid: int) -> None:
        """Take over a process that an earlier program in this process has started; 0 for none."""
        self.pid = pid
        # It served: whatever comes after it is no first start.
        self.starts = 1
        self._started_at = time.monotonic()

    def ended(self, status: int, *, asked: bool = False) -> float:
        """Note that the process has ended with a wait status; return the pause before the next start.

        There is none if it was `asked` to make room.
        """
        self.exit_code = os.waitstatus_to_exitcode(status)
        self.pid = 0
        if asked:
            self._failures = 0
            self._due = 0.0
            return 0.0
        lived = time.monotonic() - self._started_at
        self._failures = 0 if lived >= STEADY_SECONDS else self._failures + 1
        limit = RESTART_DELAY_MAX if self._delay_max is None else self._delay_max
        pause = min(limit, RESTART_DELAY_FIRST * 2.0 ** max(0, self._failures - 1))
        self._due = time.monotonic() + pause
        return pause

    def ending(self) -> str:
        """Return how the last process ended, in words."""
        return exit_text(self.exit_code or 0)

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if it runs; it has not been waited for, so its number is its own."""
        if self.running:
            os.kill(self.pid, number)

    def kill_group(self) -> None:
        """Kill the process and everything it has started."""
        if self.running:
            try:
                os.killpg(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                self.send(signal.SIGKILL)


def say(text: str) -> None:
    """Tell the operator something, in one line."""
    sys.stderr.write(f"headgate: {text}\n")
    sys.stderr.flush()
