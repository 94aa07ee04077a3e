"""A PostgreSQL server of the test's own: on a Unix socket, in a temporary directory, gone afterwards."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg


def available() -> bool:
    """Whether the server's programs are installed, with an account that may run them."""
    return (
        shutil.which("initdb") is not None and shutil.which("pg_ctl") is not None and _account() is not None
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
        _run(
            ["initdb", "-D", str(data), "-U", "headgate", "-A", "trust", "-N", "--locale=C", "-E", "UTF8"],
            account,
        )
        # Durability is the server's business, not what these tests are about.
        options = f"-c listen_addresses= -c unix_socket_directories={directory} -c fsync=off"
        log = str(directory / "log")
        _run(["pg_ctl", "-D", str(data), "-w", "-l", log, "-o", options, "start"], account)
        try:
            yield name
        finally:
            _run(["pg_ctl", "-D", str(data), "-w", "-m", "immediate", "stop"], account)


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


def _run(command: list[str], account: int) -> None:
    user = account if os.getuid() == 0 else None
    with open(os.devnull, "rb") as nothing, TemporaryDirectory(prefix="headgate-pg-") as place:
        if user is not None:
            os.chown(place, user, -1)
        # To a file, not a pipe: the server inherits it, and a pipe would never come to its end.
        output = Path(place) / "output"
        with output.open("wb") as file:
            done = subprocess.run(
                command,
                user=user,
                stdin=nothing,
                stdout=file,
                stderr=subprocess.STDOUT,
                timeout=60,
                cwd=place,
            )
        assert done.returncode == 0, output.read_text()
