"""Starts the proxies that are compared, each in front of the same upstream."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.load.processes import Program, free_port
from benchmarks.load.workloads import Setup

TEMPLATES = Path(__file__).parent / "peers"
ROOT = Path(__file__).resolve().parents[2]
REFERENCE = "nginx"
# Where `make bench-peers` puts what has requirements of its own.
ENVIRONMENTS = ROOT / ".venv-bench"


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """How one proxy is started.

    @PORT@, @UPSTREAM@, @SHADOW@, @ADMIN@, @DIRECTORY@ and @CONFIG@ are filled in; the program is looked for
    on the path and in the environments. `templates` names its configuration file for each setup that it takes
    part in ("" for none). One that `copies` sends every request to the shadow as well. `interpreter` is the
    Python that runs it, where what it costs depends on how that was built. `sources` are folders of which
    that makes bytecode first, as an installation does: who compiled what it runs holds 6 MB more.
    """

    name: str
    command: tuple[str, ...]
    templates: Mapping[Setup, str]
    environment: Mapping[str, str] = field(default_factory=dict)
    copies: bool = False
    interpreter: str = ""
    sources: tuple[Path, ...] = ()

    @property
    def program(self) -> str | None:
        """The path of its program, if it is installed."""
        places = [str(place) for place in sorted(ENVIRONMENTS.glob("*/bin"))]
        path = os.pathsep.join([os.environ.get("PATH", os.defpath), *places])
        return shutil.which(self.command[0], path=path)

    def without_plain(self) -> "Peer":
        """The same peer, which does not take part where nothing is copied."""
        templates = dict(self.templates)
        templates.pop(Setup.PLAIN, None)
        return replace(self, templates=templates)


def headgate(name: str, root: Path, python: str = sys.executable) -> Peer:
    """Headgate's data plane from the source tree `root`, run by `python`: its agent with its workers."""
    return Peer(
        name=name,
        command=(python, "-P", "-m", "proxy.agent", "--config", "@CONFIG@"),
        templates={
            Setup.PLAIN: "headgate.yaml",
            Setup.JSON_KEY: "headgate_json.yaml",
            # What copying costs is the ratio to the same proxy without it.
            Setup.SHADOW: "headgate.yaml",
            Setup.PAIR: "headgate_pair.yaml",
        },
        environment={"PYTHONPATH": str(root)},
        interpreter=python,
        sources=(root / "proxy", root / "config"),
    )


def mirrors(name: str, root: Path, python: str = sys.executable) -> dict[str, Peer]:
    """The same, which copies every request, and which compares all answers as well; by name."""
    return {
        f"{name}-{form}": replace(
            headgate(f"{name}-{form}", root, python),
            templates=dict.fromkeys((Setup.PLAIN, Setup.SHADOW), f"headgate_{form}.yaml"),
            copies=True,
        )
        for form in ("mirror", "compare")
    }


PEERS: dict[str, Peer] = {
    peer.name: peer
    for peer in (
        Peer(
            name=REFERENCE,
            command=("nginx", "-c", "@CONFIG@"),
            templates={
                Setup.PLAIN: "nginx.conf",
                # It cannot choose by a field of a body: what it costs to pass one on.
                Setup.JSON_KEY: "nginx.conf",
                Setup.SHADOW: "nginx.conf",
                Setup.PAIR: "nginx_pair.conf",
            },
        ),
        Peer(
            name="nginx-split",
            command=("nginx", "-c", "@CONFIG@"),
            templates={Setup.PLAIN: "nginx_split.conf"},
        ),
        Peer(
            name="haproxy",
            command=("haproxy", "-db", "-f", "@CONFIG@"),
            templates={Setup.PLAIN: "haproxy.cfg"},
        ),
        Peer(
            name="envoy",
            command=("envoy", "--concurrency", "1", "--log-level", "error", "-c", "@CONFIG@"),
            templates={Setup.PLAIN: "envoy.yaml"},
        ),
        Peer(
            name="caddy",
            command=("caddy", "run", "--config", "@CONFIG@", "--adapter", "caddyfile"),
            templates={Setup.PLAIN: "Caddyfile"},
            # It keeps the configuration it was started with, and certificates.
            environment={
                "GOMAXPROCS": "1",
                "XDG_CONFIG_HOME": "@DIRECTORY@",
                "XDG_DATA_HOME": "@DIRECTORY@",
            },
        ),
        Peer(
            name="aiohttp",
            command=(sys.executable, str(TEMPLATES / "naive.py"), "@PORT@", "@UPSTREAM@"),
            templates={Setup.PLAIN: ""},
        ),
        Peer(
            name="vllm-router",
            command=(
                *("vllm-router", "--host", "127.0.0.1", "--port", "@PORT@", "--log-level", "error"),
                *("--worker-urls", "http://127.0.0.1:@UPSTREAM@", "--policy", "round_robin"),
                *("--prometheus-host", "127.0.0.1", "--prometheus-port", "@ADMIN@"),
            ),
            templates={Setup.JSON_KEY: ""},
            environment={"TOKIO_WORKER_THREADS": "1"},
        ),
        Peer(
            name="litellm",
            command=(
                *("litellm", "--config", "@CONFIG@", "--host", "127.0.0.1", "--port", "@PORT@"),
                *("--num_workers", "1", "--telemetry", "False"),
            ),
            templates={Setup.JSON_KEY: "litellm.yaml"},
            # It would fetch a list of prices.
            environment={"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"},
        ),
        headgate("headgate", ROOT),
    )
}

# What copying costs: each beside itself without it.
MIRRORS: dict[str, Peer] = {
    "nginx-mirror": Peer(
        name="nginx-mirror",
        command=("nginx", "-c", "@CONFIG@"),
        templates=dict.fromkeys((Setup.PLAIN, Setup.SHADOW), "nginx_mirror.conf"),
        copies=True,
    ),
    **mirrors("headgate", ROOT),
}


class Contender:
    """One running peer."""

    def __init__(
        self,
        peer: Peer,
        *,
        upstream: int,
        directory: Path,
        cpu: int | None,
        setup: Setup = Setup.PLAIN,
        shadow: int = 0,
    ) -> None:
        """Start the peer in front of the upstream's port; its files go into `directory`.

        Raises:
            RuntimeError: it is not installed, or does not listen in time.
        """
        self.name = peer.name
        self.port = free_port()
        program = peer.program
        if program is None:
            raise RuntimeError(f"{peer.name}: {peer.command[0]} is not installed")
        directory.mkdir(parents=True)
        template = peer.templates[setup]
        # Some tell the format by the name.
        config = directory / (template or "none")
        self.admin = free_port()
        values = {
            "@PORT@": str(self.port),
            "@UPSTREAM@": str(upstream),
            "@SHADOW@": str(shadow),
            "@ADMIN@": str(self.admin),
            "@DIRECTORY@": str(directory),
            "@CONFIG@": str(config),
        }
        if template:
            config.write_text(_fill((TEMPLATES / template).read_text(), values))
        command = [program, *(_fill(word, values) for word in peer.command[1:])]
        own = {name: _fill(value, values) for name, value in peer.environment.items()}
        environment = {**os.environ, **own}
        if peer.sources:
            subprocess.run(
                [peer.interpreter, "-m", "compileall", "-q", *peer.sources], check=True, timeout=120
            )
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
