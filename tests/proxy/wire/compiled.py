"""Tests a compiled copy of the wire: `python -m tests.proxy.wire.compiled`."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
COMPILE_SECONDS_MAX = 300
TEST_SECONDS_MAX = 300


def build(into: Path) -> None:
    """Copy the packages and their tests into an empty folder and compile `proxy/wire` there with mypyc.

    Raises:
        RuntimeError: it does not compile; the message ends with what mypyc printed last.
    """
    ignore = shutil.ignore_patterns("__pycache__", "*.so", "*.pyd")
    for folder in ("config", "proxy"):
        shutil.copytree(ROOT / folder, into / folder, ignore=ignore)
    for folder in ("tests", "tests/proxy"):
        (into / folder).mkdir()
        shutil.copy(ROOT / folder / "__init__.py", into / folder)
    shutil.copytree(ROOT / "tests/proxy/wire", into / "tests/proxy/wire", ignore=ignore)
    modules = sorted(str(path.relative_to(into)) for path in (into / "proxy/wire").glob("*.py"))
    # No settings of the project: its plugins need what a plain install has not.
    command = [sys.executable, "-m", "mypyc", "--config-file=", "--strict", *modules]
    done = subprocess.run(command, cwd=into, capture_output=True, text=True, timeout=COMPILE_SECONDS_MAX)
    if done.returncode != 0:
        raise RuntimeError(f"mypyc failed:\n{(done.stdout + done.stderr)[-4000:]}")
    # For pytest only; mypyc's own setup script would take it for its own.
    shutil.copy(ROOT / "pyproject.toml", into)


def run_tests(folder: Path) -> int:
    """Run the tests of the wire in a folder made by `build`; the exit code of pytest."""
    check = "from proxy.wire import grammar, scan_bytes; assert grammar.COMPILED, grammar.__file__"
    subprocess.run([sys.executable, "-c", check], cwd=folder, check=True, timeout=60)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/proxy/wire"]
    return subprocess.run(command, cwd=folder, timeout=TEST_SECONDS_MAX).returncode


def main() -> int:
    """Build and test; 0 when all tests pass."""
    with tempfile.TemporaryDirectory(prefix="headgate-wire-") as name:
        folder = Path(name)
        build(folder)
        return run_tests(folder)


if __name__ == "__main__":
    sys.exit(main())
