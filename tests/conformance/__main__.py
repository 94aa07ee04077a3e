"""Asks nginx and HAProxy what Headgate is asked, and writes the table into docs/conformance.md.

`python -m tests.conformance docs/conformance.md`; with a peer's name behind it only that one, on the screen.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from tests.conformance.answers import ENDS, STATUSES
from tests.conformance.answers import heads as answer_heads
from tests.conformance.bodies import BODIES
from tests.conformance.case import End, RequestCase, ResponseCase
from tests.conformance.conversations import CONVERSATIONS
from tests.conformance.faults import BAD_CHUNKS, EARLY, FAULTS
from tests.conformance.heads import heads
from tests.conformance.peers import COMMANDS, Peer, Verdict, running

BEGIN: Final = "<!-- made by python -m tests.conformance -->"
LAST: Final = "<!-- end -->"
GROUPS: Final[dict[str, list[RequestCase] | list[ResponseCase]]] = {
    "request heads": heads(),
    "request bodies": BODIES,
    "conversations": CONVERSATIONS,
    "answer heads": answer_heads(),
    "answers that pass": [*ENDS, *STATUSES],
    "broken chunks of answers": BAD_CHUNKS,
    "other faults of answers": [*FAULTS, *EARLY],
}
# Processes that are asked again what the first one has refused.
TRIES: Final = 8
Verdicts = dict[str, dict[str, Verdict]]
"""By peer and by case."""


def headgate_passes(case: RequestCase | ResponseCase) -> int:
    """How many whole messages Headgate lets through in this case; its own tests hold it to that."""
    if isinstance(case, ResponseCase):
        return int(case.got is not None and case.end != End.RESETS)
    return 0 if case.cut_short else case.answers.count(200)


def is_compared(case: RequestCase | ResponseCase) -> bool:
    """Limits and time-outs are what each is configured to, and say nothing about strictness."""
    return not case.rule.startswith(("limits.", "timeouts.", "RFC 6585", "Headgate"))


async def ask(name: str) -> dict[str, Verdict]:
    """All verdicts of one peer. What it refuses it is asked again, in processes that have seen nothing else.

    One process can take what another refuses: HAProxy does so with a space behind a trailer's name.
    """
    compared = [case for cases in GROUPS.values() for case in cases if is_compared(case)]
    async with _started(name) as peer:
        found = {case.name: await _one(peer, case) for case in compared}
    for case in compared:
        for _ in range(TRIES):
            if not found[case.name].passed:
                async with _started(name) as peer:
                    found[case.name] = await _one(peer, case)
    return found


@contextlib.asynccontextmanager
async def _started(name: str) -> AsyncIterator[Peer]:
    with tempfile.TemporaryDirectory() as directory:
        async with running(name, Path(directory)) as peer:
            yield peer


async def _one(peer: Peer, case: RequestCase | ResponseCase) -> Verdict:
    return await (peer.response(case) if isinstance(case, ResponseCase) else peer.request(case))


def table(verdicts: Verdicts) -> str:
    """What the peers did, beside Headgate."""
    lines = [f"{' and '.join(_version(name) for name in verdicts)}.", ""]
    lines += ["| Cases | Number | " + " | ".join(f"{n} laxer | {n} stricter" for n in verdicts) + " |"]
    lines += ["| --- | --- |" + " --- | --- |" * len(verdicts)]
    laxer: list[str] = []
    stricter: list[str] = []
    for group, cases in GROUPS.items():
        compared = [case for case in cases if is_compared(case)]
        cells = []
        for name in verdicts:
            more = [c for c in compared if _difference(verdicts[name][c.name], c) > 0]
            less = [c for c in compared if _difference(verdicts[name][c.name], c) < 0]
            cells += [str(len(more)), str(len(less))]
        lines.append(f"| {group} | {len(compared)} | " + " | ".join(cells) + " |")
        for case in compared:
            passed = [_difference(verdicts[name][case.name], case) for name in verdicts]
            words = " | ".join(verdicts[name][case.name].words() for name in verdicts)
            row = f"| {case.name} | {_own(case)} | {words} |"
            if max(passed) > 0:
                laxer.append(row)
            if min(passed) < 0:
                stricter.append(row)
    head = ["| Case | Headgate | " + " | ".join(verdicts) + " |", "| --- | --- |" + " --- |" * len(verdicts)]
    lines += ["", "Let through by one of them and refused here:", "", *head, *laxer]
    lines += ["", f"Refused by one of them and let through here: {len(stricter)}.", ""]
    return "\n".join(lines + ([*head, *stricter, ""] if stricter else []))


def _difference(verdict: Verdict, case: RequestCase | ResponseCase) -> int:
    """How much more got through than through Headgate; a proxy that hangs has refused nothing."""
    hangs = verdict.end == End.STAYS and not verdict.statuses
    return 0 if hangs else verdict.passed - headgate_passes(case)


def _own(case: RequestCase | ResponseCase) -> str:
    if isinstance(case, ResponseCase):
        return "cut off" if case.end == End.RESETS else str(case.status)
    return " ".join(map(str, case.answers)) or "nothing"


def _version(name: str) -> str:
    flag = "-V" if name == "nginx" else "-v"
    program = f"/usr/sbin/{name.lower()}"
    done = subprocess.run([program, flag.lower()], capture_output=True, text=True, check=True)
    return (done.stdout + done.stderr).split("\n")[0].split(" 20")[0].replace("nginx version: ", "")


def main(arguments: list[str]) -> int:
    """Ask, and write; 1 when one of them is stricter somewhere."""
    names = arguments[1:] or list(COMMANDS)
    verdicts = {name: asyncio.run(ask(name)) for name in names}
    text = table(verdicts)
    if len(arguments) == 1:
        document = Path(arguments[0])
        before, _, rest = document.read_text().partition(BEGIN)
        document.write_text(f"{before}{BEGIN}\n\n{text}\n{LAST}{rest.partition(LAST)[2]}")
    else:
        sys.stdout.write(text)
    return 0 if "let through here: 0." in text else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
