"""A store for plain, blocking calls, with an event loop in a thread of its own: notebooks run one already."""

from __future__ import annotations

import asyncio
import getpass
import threading
from collections.abc import Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from control.audit.events import Origin
from control.library.place import url_of
from control.store.engine import Store, open_store

T = TypeVar("T")


class Session:
    """A context manager; also closed by `close`. *place* is a state directory, a database file or a URL.

    *actor* stands in history and audit log; by default the user this process runs as.

    Raises:
        StoreError: the store cannot be opened.
    """

    def __init__(self, place: str | Path, *, actor: str | None = None) -> None:
        self.origin = Origin(actor=actor or getpass.getuser(), user_agent="headgate-python")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="headgate", daemon=True)
        self._thread.start()
        try:
            self.store: Store = self.run(open_store(url_of(place)))
        except BaseException:
            self._end()
            raise

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for *work* and return what it returns, or raise what it raises."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def close(self) -> None:
        """Close the store; doing it again changes nothing."""
        if not self._loop.is_closed():
            self.run(self.store.close())
            self._end()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
