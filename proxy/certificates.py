"""The files of TLS: read whole, looked at again when they change, and used only when they can be used."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from config.counted import counted
from config.problems import Problem
from proxy.expiry import expires_at
from proxy.tls import ServerTls, client_context, client_tls, server_context

if TYPE_CHECKING:
    from config.load import Loaded

log = logging.getLogger("headgate.certificates")

LOOK_SECONDS: Final = 1.0
# A chain of certificates takes a few KiB, the usual bundle of roots 220 KiB.
FILE_BYTES_MAX: Final = 1024 * 1024

Place = tuple[str | int, ...]
_KEYS: Final = ("certificate", "key", "client_ca", "ca")


def tls_settings(loaded: Loaded) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    """Each TLS section of a configuration, with its place."""
    config = loaded.config
    for number, listener in enumerate(config.listeners):
        if listener.tls is not None:
            yield ("listeners", number, "tls"), listener.tls.model_dump()
    if config.admin.tls is not None:
        yield ("admin", "tls"), config.admin.tls.model_dump()
    for name, upstream in config.upstreams.items():
        if upstream.tls is not None:
            yield ("upstreams", name, "tls"), upstream.tls.model_dump()


def read_files(
    loaded: Loaded, more: Sequence[Mapping[str, Any]] = ()
) -> tuple[dict[str, str], list[Problem]]:
    """Read every file that a configuration names for TLS; what cannot be used is a problem with its place.

    `more` are sections of listeners that are open already, whatever the configuration says by now.
    """
    files: dict[str, str] = {}
    problems: list[Problem] = []
    for place, settings in [*tls_settings(loaded), *((("listeners",), settings) for settings in more)]:
        before = len(problems)
        for key in _KEYS:
            name = settings.get(key)
            if name and name not in files:
                try:
                    files[name] = _read(loaded.directory / name)
                except (OSError, ValueError) as exc:
                    why = getattr(exc, "strerror", None) or str(exc)
                    problems.append(
                        loaded.problem(
                            (*place, key), f"{name} cannot be read: {why.lower()}", "correct the path"
                        )
                    )
        if len(problems) == before:
            problems += _unusable(loaded, place, settings, files)
    return files, problems


def check_tls(loaded: Loaded) -> list[Problem]:
    """What is wrong with the files of a configuration's TLS sections."""
    return read_files(loaded)[1]


def _unusable(
    loaded: Loaded, place: Place, settings: Mapping[str, Any], files: Mapping[str, str]
) -> Iterator[Problem]:
    try:
        if place[0] == "upstreams":
            client_context(client_tls(settings), files)
        else:
            server_context(ServerTls(settings), files)
    except (OSError, KeyError, ValueError) as exc:
        # The library says what it stumbled over, never what it read.
        why = getattr(exc, "reason", None) or str(exc)
        yield loaded.problem(
            place, f"the files cannot be used: {str(why).lower().replace('_', ' ')}", "see docs/tls.md"
        )


def _read(path: Path) -> str:
    with path.open("rb") as file:
        data = file.read(FILE_BYTES_MAX + 1)
    if len(data) > FILE_BYTES_MAX:
        raise ValueError(f"larger than {FILE_BYTES_MAX} bytes")
    return data.decode("ascii", "replace")


class Certificates:
    """The texts in use. All of `changed` are called with them whenever there are others that can be used."""

    def __init__(self, loaded: Loaded, more: Sequence[Mapping[str, Any]] = ()) -> None:
        self._loaded = loaded
        self._more = more
        self.files, problems = read_files(loaded, more)
        self.problems = [str(problem) for problem in problems]
        self.reloads = 0
        self.changed: list[Callable[[Mapping[str, str]], None]] = []
        self._seen = self._signature()

    def use(self, loaded: Loaded) -> None:
        """Have what a configuration that is about to come into force needs, too."""
        self._loaded = loaded
        self._look()

    @property
    def expiry(self) -> dict[str, float]:
        """When each certificate that we show ends, by its path, in Unix seconds."""
        names = {str(each["certificate"]) for each in self._sections() if each.get("certificate")}
        ends = {name: expires_at(self.files[name]) for name in sorted(names) if name in self.files}
        return {name: end for name, end in ends.items() if end is not None}

    async def follow(self) -> None:
        """Look for changes for ever."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            seen = self._signature()
            if seen != self._seen:
                self._seen = seen
                self._look()

    def _look(self) -> None:
        files, problems = read_files(self._loaded, self._more)
        said = [str(problem) for problem in problems]
        if said != self.problems:
            for problem in said:
                log.error("certificates not taken: %s", problem)
        self.problems = said
        if not problems and files != self.files:
            self.files = files
            self.reloads += 1
            log.info("certificates: in use as they are now: %s", counted(len(files), "file"))
            for changed in self.changed:
                changed(files)

    def _sections(self) -> list[Mapping[str, Any]]:
        return [*(settings for _, settings in tls_settings(self._loaded)), *self._more]

    def _signature(self) -> list[tuple[str, int, int, int]]:
        """What tells one state of the files from another; links are followed."""
        found = []
        for settings in self._sections():
            for key in _KEYS:
                name = settings.get(key)
                if name:
                    try:
                        at = (self._loaded.directory / name).stat()
                    except OSError:
                        found.append((name, 0, 0, 0))
                    else:
                        found.append((name, at.st_ino, at.st_mtime_ns, at.st_size))
        return found
