"""Compiles the load source and the static upstream."""

import shutil
import subprocess
from pathlib import Path

SOURCES = Path(__file__).parent / "source"


def build(name: str, into: Path) -> Path:
    """Compile `source/<name>.c` and return the program.

    Raises:
        RuntimeError: there is no C compiler, or the source does not compile.
    """
    compiler = shutil.which("cc")
    if compiler is None:
        raise RuntimeError("cc: not found; install a C compiler to run the load benchmarks")
    program = into / name
    command = [compiler, "-O2", "-o", str(program), str(SOURCES / f"{name}.c")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise RuntimeError(f"{name}.c: does not compile\n{done.stderr[-2000:]}")
    return program
