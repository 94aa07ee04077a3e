"""Tests of the state directory."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from proxy.state import StateBusyError, StateDirectory, lock_file, write_atomically


def test_directory_is_private(tmp_path: Path) -> None:
    """Nobody else may write what decides where requests go."""
    state = StateDirectory(tmp_path / "a" / "state")

    state.make()
    state.make()

    assert state.root.stat().st_mode & 0o777 == 0o700
    assert state.pages.is_dir()


def test_second_process_is_refused_by_name(tmp_path: Path) -> None:
    """A lock that is held names its holder."""
    descriptor = lock_file(tmp_path / "lock")
    program = (
        "from pathlib import Path; from proxy.state import lock_file;"
        f"lock_file(Path({str(tmp_path)!r}, 'lock'))"
    )

    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)

    assert f"{tmp_path} is in use by another Headgate (process {os.getpid()})" in other.stderr
    with pytest.raises(StateBusyError):
        lock_file(tmp_path / "lock")
    os.close(descriptor)
    os.close(lock_file(tmp_path / "lock"))


def test_lock_ends_with_its_process(tmp_path: Path) -> None:
    """A killed holder holds nothing, so nothing needs to be cleaned up by hand."""
    program = (
        "import os, signal; from pathlib import Path; from proxy.state import lock_file;"
        f"lock_file(Path({str(tmp_path)!r}, 'lock')); os.kill(os.getpid(), signal.SIGKILL)"
    )

    subprocess.run([sys.executable, "-c", program], timeout=60)

    os.close(lock_file(tmp_path / "lock"))


@pytest.mark.parametrize("durable", [True, False])
def test_replacing_is_all_or_nothing(tmp_path: Path, durable: bool) -> None:
    """The new content is there whole, and no temporary file stays."""
    path = tmp_path / "file"
    path.write_bytes(b"old")

    write_atomically(path, b"new" * 1000, durable=durable)

    assert path.read_bytes() == b"new" * 1000
    assert list(tmp_path.iterdir()) == [path]
