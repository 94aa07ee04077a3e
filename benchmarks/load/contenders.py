"""Starts the proxies that are compared, each in front of the same upstream."""

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.load.processes import Program, free_port

TEMPLATES = Path(__file__).parent / "peers"
ROOT = Path(__file__).resolve().parents[2]
REFERENCE = "nginx"


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """How one proxy is started; @PORT@, @UPSTREAM@, @ADMIN@, @DIRECTORY@ and @CONFIG@ are filled in."""

    name: str
    needs: str
    command: tuple[str, ...]
    template: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def available(self) -> bool:
        """Whether the program is installed."""
        return shutil.which(self.needs) is not None


def headgate(name: str, root: Path, template: str = "headgate.yaml") -> Peer:
    """Headgate's data plane from the source tree `root`: its agent with one worker."""
    return Peer(
        name=name,
        needs=sys.executable,
        command=(sys.executable, "-P", "-m", "proxy.agent", "--config", "@CONFIG@"),
        template=template,
        environment={"PYTHONPATH": str(root)},
    )


PEERS: dict[str, Peer] = {
    peer.name: peer
    for peer in (
        Peer(name=REFERENCE, needs="nginx", command=("nginx", "-c", "@CONFIG@"), template="nginx.conf"),
        Peer(
            name="nginx-split",
            needs="nginx",
            command=("nginx", "-c", "@CONFIG@"),
            template="nginx_split.conf",
        ),
        Peer(
            name="haproxy",
            needs="haproxy",
            command=("haproxy", "-db", "-f", "@CONFIG@"),
            template="haproxy.cfg",
        ),
        Peer(
            name="aiohttp",
            needs=sys.executable,
            command=(sys.executable, str(TEMPLATES / "naive.py"), "@PORT@", "@UPSTREAM@"),
        ),
        headgate("headgate", ROOT),
    )
}

# What mirroring costs: each beside itself without it. Run when named, as everybody else does less.
MIRRORS: dict[str, Peer] = {
    peer.name: peer
    for peer in (
        Peer(
            name="nginx-mirror",
            needs="nginx",
            command=("nginx", "-c", "@CONFIG@"),
            template="nginx_mirror.conf",
        ),
        headgate("headgate-mirror", ROOT, "headgate_mirror.yaml"),
        headgate("headgate-compare", ROOT, "headgate_compare.yaml"),
    )
}


class Contender:
    """One running peer."""

    def __init__(self, peer: Peer, *, upstream: int, directory: Path, cpu: int | None) -> None:
        """Start the peer in front of the upstream's port; its files go into `directory`.

        Raises:
            RuntimeError: it does not listen in time.
        """
        self.name = peer.name
        self.port = free_port()
        directory.mkdir()
        config = directory / "config"
        values = {
            "@PORT@": str(self.port),
            "@UPSTREAM@": str(upstream),
            "@ADMIN@": str(free_port()),
            "@DIRECTORY@": str(directory),
            "@CONFIG@": str(config),
        }
        if peer.template:
            config.write_text(_fill((TEMPLATES / peer.template).read_text(), values))
        command = [_fill(word, values) for word in peer.command]
        environment = {**os.environ, **peer.environment}
        self.program = Program(
            command, cpu=cpu, log=directory / "log", cwd=directory, environment=environment
        )
        try:
            self.program.wait_listening(self.port)
        except RuntimeError as error:
            self.program.stop()
            raise RuntimeError(f"{peer.name}: {error}") from error


def _fill(text: str, values: Mapping[str, str]) -> str:
    for mark, value in values.items():
        text = text.replace(mark, value)
    return text
