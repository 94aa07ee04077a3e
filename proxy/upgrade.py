"""Replaces the running program by the one on disk without giving up a socket; the supervisor's part of it.

1. A *preflight* of the new program reads the configuration. What is wrong ends the upgrade here.
2. Listeners that the new configuration adds are opened.
3. The supervisor executes the new program in its own place: same process, same descriptors, same children.
4. The new supervisor asks the old agent to leave its workers alone and starts a new one, which starts new
   workers on the same sockets. When they accept, the old workers get no more connections and finish.
"""

import json
import os
import signal
import time
from typing import Any, Final

from proxy.launch import child_environment, python_command

PREFLIGHT_SECONDS: Final = 120.0
# A plan names at most 64 listeners; one that is longer than a pipe holds would never be written whole.
PLAN_BYTES_MAX: Final = 65536


class Preflight:
    """One run of `proxy.preflight`. `pid` is 0 when it does not run."""

    def __init__(self, config: str, *, control: bool) -> None:
        self._command = python_command("proxy.preflight", config, *(["--control"] if control else []))
        self.pid = 0
        self._read = -1
        self._deadline = 0.0

    def start(self) -> None:
        """Begin. Raises OSError."""
        self._read, write = os.pipe()
        try:
            self.pid = os.posix_spawn(
                self._command[0],
                self._command,
                child_environment({}),
                file_actions=[(os.POSIX_SPAWN_DUP2, write, 1)],
                setpgroup=0,
                setsigmask=(),
                setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),
            )
        except OSError:
            os.close(self._read)
            raise
        finally:
            os.close(write)
        self._deadline = time.monotonic() + PREFLIGHT_SECONDS

    def end_if_overdue(self) -> None:
        """Kill one that takes too long."""
        if self.pid and time.monotonic() > self._deadline:
            os.kill(self.pid, signal.SIGKILL)

    def ended(self, status: int) -> dict[str, Any]:
        """Note its end and return its plan, in which `problems` is empty if the upgrade may go on."""
        self.pid = 0
        with open(self._read, "rb") as pipe:
            text = pipe.read(PLAN_BYTES_MAX)
        code = os.waitstatus_to_exitcode(status)
        try:
            plan: dict[str, Any] = json.loads(text)
            problems = plan["problems"]
        except (ValueError, KeyError, TypeError):
            return {"problems": [f"the program on disk does not start (exit code {code}); see its log"]}
        if code != 0 and not problems:
            return {"problems": [f"the program on disk ended with exit code {code}; see its log"]}
        return plan
