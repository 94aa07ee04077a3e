"""What the registry's paths need of whoever serves them: a control plane, or a command with the store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from control.registry.shelf import Shelf


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """`follow` brings into force what has changed; `revision` is that of the table published last."""

    shelf: Shelf
    follow: Callable[[], Awaitable[None]]
    revision: Callable[[], int]
    troubles: Callable[[], Mapping[str, str]]


DOOR: Final = web.AppKey("door", Door)
