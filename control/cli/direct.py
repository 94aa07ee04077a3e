"""A client that needs no running Headgate: the registry's paths, served to one command from the store."""

from __future__ import annotations

import asyncio
import functools
import getpass
import http.client
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from control.cli.client import AdminClient, _token, discover
from control.cli.failure import CommandError


class _SocketConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(str(self._path))


class DirectClient(AdminClient):
    """Speaks to `served`."""

    def __init__(self, path: Path, actor: str) -> None:
        super().__init__("http://localhost")
        self._path = path
        self.extra_headers = {"x-headgate-actor": actor}

    def _connection(self) -> http.client.HTTPConnection:
        return _SocketConnection(self._path)


@contextmanager
def direct_client(store: str, artifacts: str | None, actor: str) -> Iterator[AdminClient]:
    """A client of the store at *store*, a URL, a file, a state directory or a configuration file.

    Raises:
        CommandError: the store cannot be opened.
    """
    with tempfile.TemporaryDirectory(prefix="headgate-") as folder:
        path = Path(folder) / "registry.sock"
        server = _Server(store, artifacts, path)
        thread = threading.Thread(target=server.run, name="registry", daemon=True)
        thread.start()
        server.ready.wait()
        try:
            if server.failure is not None:
                raise CommandError(str(server.failure))
            yield DirectClient(path, actor)
        finally:
            server.stop()
            thread.join()


class _Server:
    """The registry's paths on a socket that only this user can reach, in a thread of its own."""

    def __init__(self, store: str, artifacts: str | None, path: Path) -> None:
        self.ready = threading.Event()
        self.failure: Exception | None = None
        self._store = store
        self._artifacts = artifacts
        self._path = path
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped: asyncio.Event | None = None

    def run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:
            self.failure = error
        finally:
            self.ready.set()

    def stop(self) -> None:
        if self._loop is not None and self._stopped is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stopped.set)

    async def _serve(self) -> None:
        from aiohttp import web

        from control.api.registry_server import registry_application
        from control.library.place import base_of, url_of
        from control.registry.shelf import Shelf
        from control.store.engine import open_store

        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        store = await open_store(url_of(self._store))
        try:
            shelf = Shelf(store, base=base_of(self._store), place=self._artifacts)
            runner = web.AppRunner(registry_application(shelf), access_log=None, shutdown_timeout=1)
            await runner.setup()
            try:
                await web.UnixSite(runner, self._path).start()
                self.ready.set()
                await self._stopped.wait()
            finally:
                await runner.cleanup()
        finally:
            await store.close()


def registry_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--admin`, `--token`, `--store`, `--artifacts` and `--actor`; the command receives a `client`."""

    @click.option(
        "--admin", envvar="HEADGATE_ADMIN", metavar="URL", help="Admin address of a running Headgate."
    )
    @click.option(
        "--token", envvar="HEADGATE_TOKEN", metavar="TOKEN", help="Admin token (better: HEADGATE_TOKEN)."
    )
    @click.option(
        "--store",
        envvar="HEADGATE_STORE",
        metavar="PLACE",
        help="Work on this store instead: a state directory, a database URL, or a configuration file.",
    )
    @click.option("--artifacts", metavar="PLACE", help="With --store: where artifacts are kept.")
    @click.option("--actor", envvar="HEADGATE_ACTOR", metavar="NAME", help="With --store: who you are.")
    @functools.wraps(command)
    def with_client(
        admin: str | None,
        token: str | None,
        store: str | None,
        artifacts: str | None,
        actor: str | None,
        **others: Any,
    ) -> Any:
        if store is None:
            running = AdminClient(discover(admin), _token(token))
            running.otherwise = "; with --store DIRECTORY nothing needs to run"
            return command(client=running, **others)
        with direct_client(store, artifacts, actor or getpass.getuser()) as client:
            return command(client=client, **others)

    return with_client
