"""Tests a compiled copy of the data plane: `python -m tests.compiled [--in FOLDER] [pytest arguments]`.

With a folder it is taken as `make build/compiled/.built` left it; otherwise a copy is compiled and removed.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COMPILE_SECONDS_MAX = 900
TEST_SECONDS_MAX = 900
COPIED = ("config", "control", "proxy", "tests", "benchmarks", "docs")
DATA_PLANE = (
    "tests/proxy/wire",
    *(f"tests/proxy/test_{name}.py" for name in ("downstream", "upstream", "divert", "worker", "exchange")),
    *(f"tests/proxy/test_{name}.py" for name in ("timers", "counters", "table", "keys", "request", "match")),
    "tests/proxy/splits",
    "tests/conformance",
)


def build(into: Path) -> None:
    """Copy the tree into the folder ``into`` and compile it there.

    Raises:
        RuntimeError: it does not compile; the message ends with what was printed last.
    """
    ignore = shutil.ignore_patterns("__pycache__", "*.so", "compiled.json", "results")
    for folder in COPIED:
        shutil.copytree(ROOT / folder, into / folder, ignore=ignore)
    shutil.copy(ROOT / "setup.py", into)
    # Without the project's own file: its settings name plugins that the build does without.
    command = [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace"]
    environment = {name: value for name, value in os.environ.items() if name != "HEADGATE_PURE"}
    done = subprocess.run(
        command, cwd=into, env=environment, capture_output=True, text=True, timeout=COMPILE_SECONDS_MAX
    )
    if done.returncode != 0 or not (into / "proxy" / "compiled.json").exists():
        raise RuntimeError(f"it does not compile:\n{(done.stdout + done.stderr)[-4000:]}")
    shutil.copy(ROOT / "pyproject.toml", into)


def run_tests(folder: Path, arguments: list[str]) -> int:
    """Run the data plane's tests in a folder made by `build`; the exit code of pytest."""
    check = "from proxy.wire import grammar; assert grammar.COMPILED, grammar.__file__"
    environment = os.environ | {"PYTHONPATH": str(folder)}
    subprocess.run([sys.executable, "-P", "-c", check], cwd=folder, env=environment, check=True, timeout=60)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "3"]
    command += ["--dist", "loadfile", *(arguments or DATA_PLANE)]
    return subprocess.run(command, cwd=folder, env=environment, timeout=TEST_SECONDS_MAX).returncode


def main(arguments: list[str]) -> int:
    """Build and test; 0 when all tests pass."""
    parser = argparse.ArgumentParser(prog="python -m tests.compiled", description=__doc__)
    parser.add_argument("--in", dest="folder", type=Path, help="where the copy is that has been compiled")
    options, arguments = parser.parse_known_args(arguments)
    if options.folder:
        return run_tests(options.folder.resolve(), arguments)
    with tempfile.TemporaryDirectory(prefix="headgate-compiled-") as name:
        folder = Path(name)
        build(folder)
        return run_tests(folder, arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
