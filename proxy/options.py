"""How an agent is started: its command line, and the descriptors that it inherits."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from proxy.beats import HUNG_SECONDS
from proxy.firsttable import CONTROL_WAIT_SECONDS
from proxy.launch import ADMIN_FD_VARIABLE, LISTENERS_VARIABLE, PARENT_FD_VARIABLE, python_command
from proxy.listeners import Listening


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How an agent is started. `control` None means that there is none."""

    config: Path
    worker_command: Sequence[str]
    state: Path | None = None
    control: Path | None = None
    admin_fd: int | None = None
    listening: Listening | None = None
    """The sockets that the supervisor holds for the workers; None = the agent opens its own."""
    parent_fd: int | None = None
    control_wait: float = CONTROL_WAIT_SECONDS
    hung_seconds: int = HUNG_SECONDS
    signals: bool = True
    """Whether this process is the agent's own, so that its signals are meant for the agent."""


def parse_options(arguments: Sequence[str], environ: Mapping[str, str]) -> Options:
    """Return the options of a command line; descriptors come by the environment."""
    parser = argparse.ArgumentParser(prog="proxy.agent", description="Runs the workers of one machine.")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--state", type=Path, help="state directory, instead of the configured one")
    parser.add_argument("--control", default="none", help="control's Unix socket, or none")
    parser.add_argument("--control-wait", type=float, default=CONTROL_WAIT_SECONDS)
    parser.add_argument("--hung-seconds", type=int, default=HUNG_SECONDS)
    parser.add_argument("--worker", default="proxy.worker", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    return Options(
        config=given.config,
        state=given.state,
        control=None if given.control == "none" else Path(given.control),
        worker_command=python_command(given.worker),
        admin_fd=_descriptor(environ, ADMIN_FD_VARIABLE),
        listening=Listening.from_text(environ[LISTENERS_VARIABLE]) if LISTENERS_VARIABLE in environ else None,
        parent_fd=_descriptor(environ, PARENT_FD_VARIABLE),
        control_wait=given.control_wait,
        hung_seconds=given.hung_seconds,
    )


def _descriptor(environ: Mapping[str, str], name: str) -> int | None:
    return int(environ[name]) if name in environ else None
