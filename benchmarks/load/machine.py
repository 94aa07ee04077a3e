"""What a result was measured on."""

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

VERSION_COMMANDS = {"nginx": ["nginx", "-v"], "haproxy": ["haproxy", "-v"], "cc": ["cc", "--version"]}


def describe(root: Path) -> dict[str, Any]:
    """Processor, system, versions and the commit of `root`."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in _read("/proc/cpuinfo").splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return {
        "processor": model,
        "processors": len(os.sched_getaffinity(0)),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": {name: _first_line(command) for name, command in VERSION_COMMANDS.items()},
        "commit": _first_line(["git", "-C", str(root), "rev-parse", "--short=12", "HEAD"]),
        "load_average": os.getloadavg()[0],
    }


def _first_line(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except OSError:
        return ""
    lines = (done.stdout or done.stderr).splitlines()
    return lines[0] if lines and done.returncode == 0 else ""


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
