"""A PostgreSQL server of the test's own: on a Unix socket, in a temporary directory, gone afterwards."""

import ctypes
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg

from tests.helpers.processes import wait_until


def available() -> bool:
    """Whether the server's programs are installed, with an account that may run them."""
    return (
        shutil.which("initdb") is not None and shutil.which("postgres") is not None and _account() is not None
    )


@contextmanager
def server() -> Iterator[str]:
    """The directory of the socket of a running server; user ``headgate``, no password."""
    with TemporaryDirectory(prefix="headgate-pg-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        account = _account()
        assert account is not None
        if os.getuid() == 0:
            os.chown(directory, account, -1)
        data = directory / "data"
        _initialise(data, account)
        command = ["postgres", "-D", str(data), "-k", name, "-c", "listen_addresses="]
        # Durability is the server's business, not what these tests are about.
        command += ["-c", "fsync=off"]
        with (
            (directory / "log").open("wb") as log,
            subprocess.Popen(
                command,
                user=_user(account),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=name,
                preexec_fn=_end_with_parent,
            ) as process,
        ):
            try:
                wait_until(lambda: _answers(name), 60, "PostgreSQL answering")
                yield name
            finally:
                process.send_signal(signal.SIGQUIT)


def create_database(socket_directory: str, name: str, *, template: str = "template1") -> str:
    """Make a database like *template*, by default an empty one, and return its URL."""
    with psycopg.connect(f"host={socket_directory} user=headgate dbname=postgres", autocommit=True) as admin:
        names = (psycopg.sql.Identifier(one) for one in (name, template))
        admin.execute(psycopg.sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(*names))
    return f"postgresql://headgate@/{name}?host={socket_directory}"


def drop_database(socket_directory: str, name: str) -> None:
    """Remove a database; what was never written to disk then never is."""
    with psycopg.connect(f"host={socket_directory} user=headgate dbname=postgres", autocommit=True) as admin:
        admin.execute(
            psycopg.sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(psycopg.sql.Identifier(name))
        )


def _account() -> int | None:
    # The server refuses to run as root.
    if os.getuid() != 0:
        return os.getuid()
    try:
        return pwd.getpwnam("postgres").pw_uid
    except KeyError:
        return None


def _user(account: int) -> int | None:
    return account if os.getuid() == 0 else None


def _end_with_parent() -> None:
    # Tests may be killed; a server that nobody ends any more must end by itself (prctl, PR_SET_PDEATHSIG).
    ctypes.CDLL(None).prctl(1, signal.SIGQUIT)


def _answers(socket_directory: str) -> bool:
    try:
        psycopg.connect(f"host={socket_directory} user=headgate dbname=postgres").close()
    except psycopg.OperationalError:
        return False
    return True


def _initialise(data: Path, account: int) -> None:
    command = ["initdb", "-D", str(data), "-U", "headgate", "-A", "trust", "-N", "--locale=C", "-E", "UTF8"]
    done = subprocess.run(
        command,
        user=_user(account),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=data.parent,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
