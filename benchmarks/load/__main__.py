"""Compares proxies: `python -m benchmarks.load [--quick] [--peers a,b] [--workloads w1,w2] [--out FILE]`."""

import argparse
import json
import os
import random
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.load.build import build
from benchmarks.load.contenders import MIRRORS, PEERS, REFERENCE, ROOT, Contender, Peer, headgate, mirrors
from benchmarks.load.machine import describe, interpreter
from benchmarks.load.plot import plot
from benchmarks.load.processes import Program, free_port
from benchmarks.load.report import markdown, merged, raw, summarise
from benchmarks.load.slices import LoadSource, Slice, measure
from benchmarks.load.workloads import WORKLOADS, Setup, Workload

# Half an hour with all peers; a quick run ends within two minutes.
ROUNDS, SECONDS = 6, 1.5
QUICK_ROUNDS, QUICK_SECONDS = 2, 0.7
QUICK_PEERS = ("nginx", "nginx-mirror", "haproxy", "headgate", "headgate-mirror")


def parse_arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="short rounds of few peers: shows that it runs, not how fast"
    )
    parser.add_argument("--peers", help=f"of {', '.join(PEERS | MIRRORS)}; default all that are installed")
    parser.add_argument("--workloads", default=",".join(WORKLOADS), help="default: %(default)s")
    parser.add_argument("--rounds", type=int, help=f"slices of each peer; default {ROUNDS}")
    parser.add_argument("--seconds", type=float, help=f"length of a slice; default {SECONDS}")
    parser.add_argument("--seed", type=int, default=1, help="of the order within the rounds")
    parser.add_argument(
        "--headgate",
        action="append",
        default=[],
        metavar="NAME=FOLDER[,PYTHON]",
        help="another source tree, for example a compiled one, or one that another interpreter runs",
    )
    parser.add_argument(
        "--out", type=Path, help="write the figures here as JSON, and beside it a table and a plot"
    )
    parser.add_argument("--add", action="store_true", help="keep the rounds that --out has, and add these")
    options = parser.parse_args()
    options.rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    options.seconds = options.seconds or (QUICK_SECONDS if options.quick else SECONDS)
    return options


def choose_peers(names: str | None, trees: list[str], *, quick: bool) -> list[Peer]:
    """The peers to run, the reference first.

    Raises:
        ValueError: a name is unknown, or a program that was asked for is not installed.
    """
    known = PEERS | MIRRORS
    for tree in trees:
        name, _, place = tree.partition("=")
        folder, _, python = place.partition(",")
        if not folder:
            raise ValueError(f"--headgate {tree}: must be NAME=FOLDER or NAME=FOLDER,PYTHON")
        run_by = (Path(folder).resolve(), python or sys.executable)
        known[name] = headgate(name, *run_by)
        known |= mirrors(name, *run_by)
    if names:
        wanted = names.split(",")
    else:
        wanted = [name for name, peer in known.items() if peer.program]
        if quick:
            wanted = [name for name in wanted if name in QUICK_PEERS or name not in PEERS | MIRRORS]
        else:
            for name in [name for name in known if name not in wanted]:
                print(f"{name}: {known[name].command[0]} is not installed, left out", file=sys.stderr)
        # Beside proxies that do less, what copies every request only runs when it is named.
        known = {name: peer.without_plain() if peer.copies else peer for name, peer in known.items()}
    wanted = [REFERENCE, *(name for name in wanted if name != REFERENCE)]
    for name in wanted:
        if name not in known:
            raise ValueError(f"--peers {name}: unknown; known are {', '.join(known)}")
        if known[name].program is None:
            raise ValueError(f"--peers {name}: {known[name].command[0]} is not installed")
    return [known[name] for name in wanted]


class Session:
    """The proxies of one setup, running, and what went wrong."""

    def __init__(
        self,
        contenders: dict[str, Contender],
        source: LoadSource,
        options: argparse.Namespace,
        errors: list[str],
    ) -> None:
        self._contenders = contenders
        self._source = source
        self._options = options
        self.errors = errors

    def run_workload(self, workload: Workload) -> list[Slice]:
        """All rounds of one workload: peers in random order, a slice of the reference between any two."""
        order = random.Random(f"{self._options.seed}/{workload.name}")
        others = [name for name in self._contenders if name != REFERENCE]
        slices = self._measure(REFERENCE, workload, 0)
        for number in range(1, self._options.rounds + 1):
            for name in order.sample(others, len(others)):
                slices += self._measure(name, workload, number)
                slices += self._measure(REFERENCE, workload, number)
            print(f"{workload.name}: round {number} of {self._options.rounds}", file=sys.stderr, flush=True)
        return slices

    def _measure(self, name: str, workload: Workload, number: int) -> list[Slice]:
        """One slice; none, and an error to report, when it failed: the others are still worth having."""
        try:
            return [measure(self._source, self._contenders[name], workload, self._options.seconds, number)]
        except RuntimeError as error:
            self.errors.append(f"{workload.name}, round {number}, {name}: {error}")
            print(self.errors[-1], file=sys.stderr, flush=True)
            return []


@contextmanager
def running(
    peers: list[Peer], setup: Setup, folder: Path, ports: list[int], cpu: int | None, errors: list[str]
) -> Iterator[dict[str, Contender]]:
    """Start the peers that take part in a setup, and end them; one that does not start is left out."""
    upstream, shadow = ports
    with ExitStack() as stack:
        contenders: dict[str, Contender] = {}
        for peer in peers:
            if setup not in peer.templates:
                continue
            place = folder / peer.name
            try:
                contender = Contender(
                    peer, upstream=upstream, shadow=shadow, directory=place, cpu=cpu, setup=setup
                )
            except RuntimeError as error:
                errors.append(f"{setup.value}: {error}")
                print(errors[-1], file=sys.stderr, flush=True)
                continue
            stack.callback(contender.program.stop)
            contenders[peer.name] = contender
        if REFERENCE not in contenders:
            raise RuntimeError(f"{REFERENCE} does not run, and everything is measured by it")
        yield contenders


def compare(options: argparse.Namespace, peers: list[Peer]) -> dict[str, Any]:
    """Start everything, measure all workloads, stop everything; the figures as plain values.

    Raises:
        RuntimeError: a program could not be built or started.
    """
    processors = sorted(os.sched_getaffinity(0))
    # The proxy alone on one processor; with one processor only, nobody is bound.
    proxy_cpu, load_cpu = (processors[0], processors[1]) if len(processors) > 1 else (None, None)
    summary: dict[str, Any] = {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe(ROOT),
        "interpreters": {peer.name: interpreter(peer.interpreter) for peer in peers if peer.interpreter},
        "rounds": options.rounds,
        "seconds": options.seconds,
        "pinned": proxy_cpu is not None,
        "workloads": {},
        "slices": [],
        "errors": [],
    }
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="headgate-load-")))
        source = LoadSource(build("load", folder), cpu=load_cpu)
        program = build("upstream", folder)
        ports: list[int] = []
        for name in ("upstream", "shadow"):
            ports.append(free_port())
            log = folder / f"{name}.log"
            upstream = Program([str(program), str(ports[-1])], cpu=load_cpu, log=log, cwd=folder)
            stack.callback(upstream.stop)
            upstream.wait_listening(ports[-1])
        chosen = [WORKLOADS[name] for name in options.workloads.split(",")]
        for setup in dict.fromkeys(workload.setup for workload in chosen):
            cpu = None if setup is Setup.PAIR else proxy_cpu
            with running(peers, setup, folder / setup, ports, cpu, summary["errors"]) as contenders:
                session = Session(contenders, source, options, summary["errors"])
                for workload in chosen:
                    if workload.setup is setup:
                        slices = session.run_workload(workload)
                        summary["workloads"][workload.name] = summarise(workload, slices)
                        summary["slices"] += raw(slices)
    return summary


def main() -> int:
    """Run the comparison; 1 when a slice failed, 2 when it cannot be run."""
    options = parse_arguments()
    try:
        unknown = [name for name in options.workloads.split(",") if name not in WORKLOADS]
        if unknown:
            raise ValueError(f"--workloads {unknown[0]}: unknown; known are {', '.join(WORKLOADS)}")
        summary = compare(options, choose_peers(options.peers, options.headgate, quick=options.quick))
    except (ValueError, RuntimeError, OSError) as error:
        print(f"benchmarks.load: {error}", file=sys.stderr)
        return 2
    if options.add and options.out and options.out.exists():
        summary = merged(json.loads(options.out.read_text()), summary)
    print(markdown(summary))
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(summary, indent=1) + "\n")
        options.out.with_suffix(".md").write_text(markdown(summary))
        options.out.with_suffix(".svg").write_text(plot(summary))
    return 1 if summary["errors"] else 0


if __name__ == "__main__":
    sys.exit(main())
