"""p99 of the primary beside bad shadows, at 70 % of a worker's capacity: `python -m benchmarks.shadows`."""

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import urllib.request
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from benchmarks.load.build import build
from benchmarks.load.contenders import ROOT, Contender, headgate
from benchmarks.load.machine import describe
from benchmarks.load.processes import Program, free_port
from benchmarks.load.report import quartiles
from benchmarks.load.slices import LoadSource, measure
from benchmarks.load.workloads import WORKLOADS, Setup, Workload
from benchmarks.shadows.judging import Round, judge, markdown

KINDS: Final = ("slow", "hung", "stalling", "resetting", "refusing", "garbage", "endless")
"""slow answers after a second; hung accepts and never reads; stalling stops in its answer; resetting resets
each connection used; refusing: nobody listens; garbage is no HTTP; endless answers have 200 MB, chunked."""
CAPACITY_SHARE: Final = 0.7
CAPACITY_SECONDS: Final = 0.3
WARM_UP_SECONDS: Final = 0.1
METRICS_SECONDS: Final = 10


def parse_arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shadows", description=__doc__)
    parser.add_argument("--kinds", default=",".join(KINDS), help="which shadows; default all: %(default)s")
    parser.add_argument("--rounds", type=int, default=24, help="rounds beside each; default %(default)s")
    parser.add_argument("--seconds", type=float, default=0.5, help="length of a slice; default %(default)s")
    parser.add_argument("--tree", type=Path, default=ROOT, help="another source tree, as a compiled one")
    parser.add_argument("--seed", type=int, default=1, help="of the order within the rounds")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    parser.add_argument("--add", action="store_true", help="beside those of other shadows that --out has")
    options = parser.parse_args()
    options.kinds = options.kinds.split(",")
    if unknown := set(options.kinds) - set(KINDS):
        parser.error(f"--kinds: there is no {', '.join(sorted(unknown))}; there are {', '.join(KINDS)}")
    return options


class Bench:
    """Load source, upstream and shadows on one processor, the proxies on the other."""

    def __init__(self, stack: ExitStack, tree: Path) -> None:
        processors = sorted(os.sched_getaffinity(0))
        alone = len(processors) < 2
        self.proxy_cpu = None if alone else processors[0]
        self.load_cpu = None if alone else processors[1]
        self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="headgate-shadows-")))
        self.tree = tree
        self.source = LoadSource(build("load", self.folder), cpu=self.load_cpu)
        self.upstream = free_port()
        self._start(
            stack, "upstream", [str(build("upstream", self.folder)), str(self.upstream)], self.upstream
        )

    def _start(self, stack: ExitStack, name: str, command: list[str], port: int) -> None:
        program = Program(command, cpu=self.load_cpu, log=self.folder / f"{name}.log", cwd=self.folder)
        stack.callback(program.stop)
        program.wait_listening(port)

    def proxy(self, stack: ExitStack, name: str, kind: str = "") -> Contender:
        """A proxy of its own, beside the kind of shadow or without one."""
        shadow = free_port()
        if kind not in ("", "refusing"):
            bad = str(Path(__file__).with_name("bad.py"))
            self._start(stack, kind, [sys.executable, bad, str(shadow), kind], shadow)
        template = "headgate_shadow.yaml" if kind else "headgate_unshadowed.yaml"
        contender = Contender(
            replace(headgate(name, self.tree), templates={Setup.SHADOW: template}),
            upstream=self.upstream,
            shadow=shadow,
            directory=self.folder / name,
            cpu=self.proxy_cpu,
            setup=Setup.SHADOW,
        )
        stack.callback(contender.program.stop)
        return contender


def copied(contender: Contender) -> int:
    """How many copies the proxy has sent to its shadow, from its metrics."""
    address = f"http://127.0.0.1:{contender.admin}/metrics"
    with urllib.request.urlopen(address, timeout=METRICS_SECONDS) as answer:
        lines = answer.read().decode().splitlines()
    name = "headgate_shadow_mirrored_requests_total{"
    return sum(int(float(line.rpartition(" ")[2])) for line in lines if line.startswith(name))


def processor_ticks() -> list[int]:
    """What all processors have done since the start of the system; the eighth is what a host took away."""
    return [int(ticks) for ticks in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]


def stolen_share(before: list[int], after: list[int]) -> float:
    """The share of the time between that the host took away."""
    spent = [b - a for a, b in zip(before, after, strict=True)]
    return round(spent[7] / max(1, sum(spent)), 4)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Start everything, measure, stop everything; the figures as plain values.

    Raises:
        RuntimeError: a program could not be built or started.
    """
    before = processor_ticks()
    kinds: dict[str, list[Round]] = {}
    copies: dict[str, int] = {}
    with ExitStack() as stack:
        bench = Bench(stack, options.tree.resolve())
        without, again = (bench.proxy(stack, name) for name in ("without", "again"))
        workload = WORKLOADS["shadow"]
        order = random.Random(options.seed)
        for kind in options.kinds:
            with ExitStack() as own:
                beside = bench.proxy(own, kind, kind)
                trio = [without, again, beside]
                # The first round warms up what was just started.
                rounds: list[Round] = []
                for _ in range(options.rounds + 1):
                    try:
                        rounds.append(one_round(bench.source, trio, workload, options.seconds, order))
                    except RuntimeError as error:
                        # A machine that is taken away for a whole slice says nothing about anybody.
                        print(f"{kind}: {error}", file=sys.stderr, flush=True)
                kinds[kind], copies[kind] = rounds[1:], copied(beside)
            print(f"{kind}: {copies[kind]} copies", file=sys.stderr, flush=True)
    stolen = stolen_share(before, processor_ticks())
    figures = judge(kinds)
    for kind, count in copies.items():
        figures["shadows"][kind]["copied"] = count
    every = [one for rounds in kinds.values() for one in rounds]
    slices = [one for r in every for one in (r.without, r.again, r.beside)]
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe(ROOT),
        "rounds": options.rounds,
        "seconds": options.seconds,
        "requests_per_second": quartiles([one.due for one in every]),
        "stolen_share": stolen,
        "load_cpu_share": round(statistics.median(one.load_cpu_share for one in slices), 3),
        "requests": sum(one.count for one in slices),
        "failures": sum(one.failures for one in slices),
        **figures,
    }


def one_round(
    source: LoadSource, trio: list[Contender], workload: Workload, seconds: float, order: random.Random
) -> Round:
    """A slice of each of the three in random order, at a share of what one without a shadow does just now."""
    idle = trio[order.randrange(2)]
    rate = CAPACITY_SHARE * measure(source, idle, workload, CAPACITY_SECONDS, 0, warm_up=WARM_UP_SECONDS).rate
    due = replace(workload, name=f"{workload.name}-70", rate=rate)
    found = {
        one.name: measure(source, one, due, seconds, 0, warm_up=WARM_UP_SECONDS)
        for one in order.sample(trio, len(trio))
    }
    without, again, beside = (found[one.name] for one in trio)
    return Round(without=without, again=again, beside=beside, due=rate)


def main() -> int:
    """Run it; 1 when a request failed or a shadow slows the primary down, 2 when it cannot be run."""
    options = parse_arguments()
    try:
        summary = run(options)
    except (RuntimeError, OSError) as error:
        print(f"benchmarks.shadows: {error}", file=sys.stderr)
        return 2
    rate = summary["requests_per_second"]["median"]
    print(f"about {rate:.0f} requests a second, {summary['failures']} of {summary['requests']} failed,")
    print(f"{summary['stolen_share']:.1%} of the processors' time was taken by the host\n")
    print(markdown(summary))
    if options.out:
        runs = json.loads(options.out.read_text())["runs"] if options.add and options.out.exists() else []
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps({"runs": [*runs, summary]}, indent=1) + "\n")
    slower = any(one["slower"] for one in summary["shadows"].values())
    return 1 if summary["failures"] or slower else 0


if __name__ == "__main__":
    sys.exit(main())
