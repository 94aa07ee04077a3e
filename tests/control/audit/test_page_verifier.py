"""The verifier on the page of the documentation does what the page says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from control.library.audit import AuditLog
from tests.helpers.audit import START, draft, log_in, write

PAGE = Path(__file__).parents[3] / "docs" / "audit.md"


def verifier() -> str:
    """The program between the fences."""
    blocks: list[str] = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    (program,) = (block for block in blocks if "Ed25519PublicKey" in block)
    return program


def check(directory: Path, export: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", "-c", verifier(), str(export), str(directory / "audit.pub")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


async def test_a_reader_can_verify_an_export_with_forty_lines(tmp_path: Path) -> None:
    """It proves every event of a whole export, and stops at one that was edited or signed by another."""
    async with log_in(tmp_path) as (store, witness):
        await write(store, *(draft(number) for number in range(300)))
        await witness.sign(START)
        with AuditLog(tmp_path) as log:
            log.export(tmp_path / "x.jsonl")
    text = (tmp_path / "x.jsonl").read_text()

    whole = check(tmp_path, tmp_path / "x.jsonl")
    (tmp_path / "edited.jsonl").write_text(text.replace('\\"number\\":17}', '\\"number\\":18}'))
    edited = check(tmp_path, tmp_path / "edited.jsonl")
    (tmp_path / "forged.jsonl").write_text(text.replace("\\n301\\n", "\\n302\\n"))
    forged = check(tmp_path, tmp_path / "forged.jsonl")

    assert len([line for line in verifier().splitlines() if line]) <= 45
    assert whole.returncode == 0, whole.stderr
    assert "301 events are proven, 1 came after the checkpoint" in whole.stdout
    assert "event 19 is not what was signed" in edited.stderr
    assert "InvalidSignature" in forged.stderr
