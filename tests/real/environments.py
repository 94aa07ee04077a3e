"""Virtual environments of software nobody here wrote, and programs that run in them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
CACHE = ROOT / ".venv-real"
FOLDER = Path(__file__).parent

CLIENT_SECONDS = 120.0

# Where every attempt to reach another machine ends: a port of this one that nobody listens on.
NOWHERE = "http://127.0.0.1:9"


def executable(environment: str, name: str = "python") -> Path:
    """Return a program of an environment; skip the test, saying why, where that is not installed."""
    folder = CACHE / environment
    if (folder / "installed").exists():
        return folder / "bin" / name
    log = folder.with_suffix(".log")
    if log.exists():
        errors = [line for line in log.read_text("utf-8").splitlines() if "ERROR" in line]
        pytest.skip(f"{environment} cannot be installed here: {' / '.join(errors[:3]) or f'see {log}'}")
    pytest.skip(f"{environment} is not installed: `make test-real` does that")


def isolated(folder: Path) -> dict[str, str]:
    """Return variables for a program that shall write into `folder` only and never reach another machine."""
    passed = {name: os.environ[name] for name in ("PATH", "LANG", "TZ") if name in os.environ}
    return passed | {
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "HTTP_PROXY": NOWHERE,
        "HTTPS_PROXY": NOWHERE,
        "http_proxy": NOWHERE,
        "https_proxy": NOWHERE,
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
        "HF_HUB_OFFLINE": "1",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "1",
        # As many threads as a small model needs, however many processors there are.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }


def execute(environment: str, program: str, *arguments: str, cwd: Path) -> str:
    """Run `tests/real/PROGRAM` with the interpreter of an environment and return what it printed.

    Raises:
        AssertionError: it failed or took longer than CLIENT_SECONDS; with what it said.
    """
    # Isolated: neither this project nor the program's own folder is importable.
    command = [str(executable(environment)), "-I", str(FOLDER / program), *arguments]
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env=isolated(cwd),
            capture_output=True,
            text=True,
            timeout=CLIENT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as exc:
        said = exc.stderr.decode() if isinstance(exc.stderr, bytes) else exc.stderr
        raise AssertionError(f"{program} did not end within {CLIENT_SECONDS:g} s: {said}") from exc
    assert done.returncode == 0, f"{program} ended with {done.returncode}:\n{done.stderr[-4000:]}"
    return done.stdout
