"""p99 of the primary beside bad shadows, at 70 % of a worker's capacity: `python -m benchmarks.shadows`."""

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from benchmarks.load.build import build
from benchmarks.load.contenders import ROOT, Contender, headgate
from benchmarks.load.machine import describe
from benchmarks.load.processes import Program, free_port
from benchmarks.load.report import quartiles
from benchmarks.load.slices import LoadSource, Slice, measure
from benchmarks.load.workloads import WORKLOADS, Setup

PLAIN: Final = "none"
KINDS: Final = ("slow", "hung", "resetting", "refusing")
"""slow answers after a second; hung accepts and never reads; resetting resets each connection that is used;
refusing: nobody listens."""
CAPACITY_SHARE: Final = 0.7
CAPACITY_SLICES: Final = 3


def parse_arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shadows", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="slices of each shadow; default %(default)s")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of a slice; default %(default)s")
    parser.add_argument("--tree", type=Path, default=ROOT, help="another source tree, as a compiled one")
    parser.add_argument("--seed", type=int, default=1, help="of the order within the rounds")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    return parser.parse_args()


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Start everything, measure, stop everything; the figures as plain values.

    Raises:
        RuntimeError: a program could not be built or started.
    """
    processors = sorted(os.sched_getaffinity(0))
    proxy_cpu, load_cpu = (processors[0], processors[1]) if len(processors) > 1 else (None, None)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="headgate-shadows-")))

        def start(name: str, command: list[str], port: int) -> None:
            program = Program(command, cpu=load_cpu, log=folder / f"{name}.log", cwd=folder)
            stack.callback(program.stop)
            program.wait_listening(port)

        source = LoadSource(build("load", folder), cpu=load_cpu)
        upstream = free_port()
        start("upstream", [str(build("upstream", folder)), str(upstream)], upstream)
        contenders: dict[str, Contender] = {}
        for kind in (PLAIN, *KINDS):
            shadow = free_port()
            if kind in ("slow", "hung", "resetting"):
                bad = str(Path(__file__).with_name("bad.py"))
                start(kind, [sys.executable, bad, str(shadow), kind], shadow)
            template = "headgate.yaml" if kind == PLAIN else "headgate_shadow.yaml"
            peer = replace(headgate(kind, options.tree.resolve()), templates={Setup.SHADOW: template})
            contender = Contender(
                peer,
                upstream=upstream,
                shadow=shadow,
                directory=folder / kind,
                cpu=proxy_cpu,
                setup=Setup.SHADOW,
            )
            stack.callback(contender.program.stop)
            contenders[kind] = contender
        workload = WORKLOADS["shadow"]
        plain = contenders[PLAIN]
        rates = [measure(source, plain, workload, options.seconds, 0).rate for _ in range(CAPACITY_SLICES)]
        rate = CAPACITY_SHARE * statistics.median(rates)
        due = replace(workload, name=f"{workload.name}-70", rate=rate)
        order = random.Random(options.seed)
        slices = [measure(source, plain, due, options.seconds, 0)]
        for number in range(1, options.rounds + 1):
            for kind in order.sample(KINDS, len(KINDS)):
                slices.append(measure(source, contenders[kind], due, options.seconds, number))
                slices.append(measure(source, plain, due, options.seconds, number))
            print(f"round {number} of {options.rounds}", file=sys.stderr, flush=True)
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe(ROOT),
        "rounds": options.rounds,
        "seconds": options.seconds,
        "requests_per_second": round(rate),
        "p99": summarise(slices),
        "failures": sum(one.failures for one in slices),
    }


def summarise(slices: list[Slice]) -> dict[str, Any]:
    """By shadow: p99 in microseconds, and its ratio to the slices without a shadow right before and after.

    Without a shadow the ratio is that of two such neighbours, either way round: what the machine alone does.
    """
    found: dict[str, Any] = {}
    plain = slices[::2]
    for kind in (PLAIN, *KINDS):
        own = [one for one in slices if one.peer == kind]
        if kind == PLAIN:
            relative = [b.p99_us / a.p99_us for a, b in pairwise(plain)]
        else:
            around = [slices[i - 1 : i + 2 : 2] for i, one in enumerate(slices) if one.peer == kind]
            relative = [
                one.p99_us / statistics.fmean(other.p99_us for other in pair)
                for one, pair in zip(own, around, strict=True)
            ]
        found[kind] = {
            "p99_us": quartiles([one.p99_us for one in own]),
            "p50_us": quartiles([one.p50_us for one in own]),
            "ratio": quartiles(relative),
        }
    return found


def markdown(summary: dict[str, Any]) -> str:
    """The figures as a table."""
    rows = [
        f"{summary['requests_per_second']} requests a second, {summary['failures']} failed",
        "",
        "| shadow | p50 | p99 | p99 ÷ without (quartiles) |",
        "| --- | --- | --- | --- |",
    ]
    for kind, figures in summary["p99"].items():
        ratio = figures["ratio"]
        rows.append(
            f"| {kind} | {figures['p50_us']['median']:.0f} µs | {figures['p99_us']['median']:.0f} µs "
            f"| **{ratio['median']:.2f}** ({ratio['q1']:.2f}–{ratio['q3']:.2f}) |"
        )
    return "\n".join(rows) + "\n"


def main() -> int:
    """Run it; 1 when a request failed, 2 when it cannot be run."""
    options = parse_arguments()
    try:
        summary = run(options)
    except (RuntimeError, OSError) as error:
        print(f"benchmarks.shadows: {error}", file=sys.stderr)
        return 2
    print(markdown(summary))
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(summary, indent=1) + "\n")
    return 1 if summary["failures"] else 0


if __name__ == "__main__":
    sys.exit(main())
