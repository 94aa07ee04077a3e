"""What a result was measured on."""

import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

VERSION_COMMANDS = {"nginx": ["nginx", "-v"], "haproxy": ["haproxy", "-v"], "cc": ["cc", "--version"]}

# Asked of an interpreter. How it was built is known only where its build says so: Debian's is made with
# profiles of a run, by steps of the package's own that leave no trace in sysconfig.
_BUILD = """
import json, platform, sys, sysconfig
asked = "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or "")
used = bool(sysconfig.get_config_var("PGO_PROF_USE_FLAG"))
guided = "yes" if asked else "no" if used else "not stated"
print(json.dumps({"path": sys.executable, "version": platform.python_version(), "profile_guided": guided}))
"""


def interpreter(python: str) -> dict[str, str]:
    """Path and version of an interpreter, and whether its build was guided by profiles: yes, no, not stated.

    Raises:
        RuntimeError: it does not run.
    """
    try:
        done = subprocess.run([python, "-c", _BUILD], capture_output=True, text=True, timeout=20)
    except OSError as error:
        raise RuntimeError(f"{python}: {error}") from error
    if done.returncode != 0:
        raise RuntimeError(f"{python}: {done.stderr[-500:]}")
    build: dict[str, str] = json.loads(done.stdout)
    return build


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
