"""The state directory: what lies where in it, and how files in it are replaced and locked."""

import contextlib
import fcntl
import os
from pathlib import Path


class StateBusyError(Exception):
    """Another process uses the state directory for the same purpose."""


class StateDirectory:
    """Paths in one state directory. Nothing is created before `make`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        # False once another agent may have taken the directory over: then we write nothing more.
        self.ours = True
        self.lock = root / "lock"
        self.agent_lock = root / "agent.lock"
        self.table = root / "table.json"
        self.config = root / "config.json"
        self.pages = root / "pages"
        self.workers = root / "workers.json"
        self.control_socket = root / "control.sock"
        self.compare_socket = root / "compare.sock"
        self.database = root / "headgate.db"
        self.supervisor = root / "supervisor.json"
        self.feedback_key = root / "feedback.key"
        self.feedback_seen = root / "feedback.seen"

    def make(self) -> None:
        """Create the directory for this user alone; OSError when that is not possible."""
        # What lies here decides where requests go, so nobody else may write it.
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.pages.mkdir(mode=0o700, exist_ok=True)

    def page(self, boot: str, index: int) -> Path:
        """Return the place of a worker's counter page."""
        return self.pages / f"{boot}-{index}.page"

    def ledger(self, boot: str) -> Path:
        """Return the place of what must be known besides the pages of a boot."""
        return self.pages / f"{boot}.json"


def lock_file(path: Path) -> int:
    """Lock `path` for this process and return the descriptor that holds the lock until it is closed.

    Raises StateBusyError while another process holds it. The kernel frees the lock of a killed process.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
        os.close(descriptor)
        who = f" (process {holder})" if holder else ""
        raise StateBusyError(f"{path.parent} is in use by another Headgate{who}") from exc
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor


def write_atomically(path: Path, data: bytes, *, durable: bool) -> None:
    """Replace `path` so that a reader sees the old content or the new, whole, whatever is killed when.

    `durable` also survives a loss of power, for the price of two flushes. Raises OSError.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    if durable:
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
