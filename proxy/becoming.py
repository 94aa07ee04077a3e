"""What a supervisor is told about itself, and how a process becomes one: at the start and at an upgrade."""

import json
import os
import sys
from typing import NamedTuple, NoReturn

from proxy.launch import child_environment, python_command
from proxy.listeners import Listening


class Settings(NamedTuple):
    """What a supervisor needs to know, after everything was checked. Descriptors are open and inherited."""

    config: str
    state: str
    control: bool
    drain: float
    lock_fd: int
    admin_fd: int
    admin: str
    listeners: str
    """The sockets for requests, as `Listening.to_text` writes them."""
    generation: int = 1
    """Programs that this process has been, one after the other."""
    agent_pid: int = 0
    control_pid: int = 0
    alive_read: int = -1
    alive_write: int = -1
    database: tuple[str, ...] = ()
    """Arguments that tell the control process where its database is; none = in the state directory."""

    @classmethod
    def from_text(cls, text: str) -> "Settings":
        """Read what a program before or after this version has written: what is unknown is left out."""
        values = json.loads(text)
        return cls(**{name: value for name, value in values.items() if name in cls._fields})


def drain_seconds(drain: float, delay: float) -> float:
    """How long an agent may take to drain; 0 = no limit."""
    return drain + delay if drain > 0 else 0.0


def become(settings: Settings) -> NoReturn:
    """Replace this process by a supervisor. Raises OSError; this process goes on then."""
    inherit(settings, inheritable=True)
    sys.stdout.flush()
    sys.stderr.flush()
    command = python_command("proxy.supervisor", json.dumps(settings._asdict()))
    os.execve(command[0], command, child_environment({}))  # noqa: S606 - our own program


def inherit(settings: Settings, *, inheritable: bool) -> None:
    """Let the next program in this process have our descriptors, or keep them from children."""
    own = [settings.lock_fd, settings.admin_fd, settings.alive_read, settings.alive_write]
    for descriptor in [*own, *Listening.from_text(settings.listeners).descriptors]:
        if descriptor >= 0:
            os.set_inheritable(descriptor, inheritable)
