"""What must hold between the parts of a configuration; works on plain values, so also on broken ones."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any

from config.addresses import Bind, parse_bind
from config.base import Fault
from config.problems import Path
from config.registry import DEFAULT_STAGES
from config.values import InvalidValueError


def faults(plain: object) -> list[Fault]:
    """Everything that does not fit together; a part that is missing or malformed is passed over."""
    config = _mapping(plain)
    return [
        *_addresses(config),
        *_tokens(_mapping(config.get("admin"))),
        *_names(config),
        *_destinations(config),
        *_protected(config),
        *_never_reached(config),
    ]


def _addresses(config: dict[str, Any]) -> Iterator[Fault]:
    taken: list[Bind] = []
    for i, listener in enumerate(_list(config.get("listeners"))):
        bind = _bind(_mapping(listener).get("bind"))
        if bind is not None:
            yield from _overlap(bind, taken, ("listeners", i, "bind"))
            taken.append(bind)
    admin = _mapping(config.get("admin"))
    bind = _bind(admin.get("bind", "127.0.0.1:9901"))
    if bind is None:
        return
    yield from _overlap(bind, taken, ("admin", "bind"))
    clients = _mapping(_mapping(admin.get("tls")).get("clients"))
    if not bind.loopback and not _list(admin.get("tokens")) and not clients:
        yield Fault(
            path=("admin", "bind"),
            problem=f"{bind} can be reached from outside, and no token guards it",
            remedy="bind to 127.0.0.1, or write admin.tokens in a configuration file",
        )


def _overlap(bind: Bind, taken: list[Bind], path: Path) -> Iterator[Fault]:
    for other in taken:
        if bind.overlaps(other):
            problem = f"{bind} is taken by the listener on {other}"
            yield Fault(path=path, problem=problem, remedy="use another port")
            return


def _tokens(admin: dict[str, Any]) -> Iterator[Fault]:
    tokens = [_mapping(token) for token in _list(admin.get("tokens"))]
    for key, problem, remedy in (
        ("name", "the same name as admin.tokens[{}]", "give each token a name of its own"),
        ("sha256", "the same token as admin.tokens[{}]", "make a token for each holder"),
    ):
        first: dict[str, int] = {}
        for i, token in enumerate(tokens):
            value = token.get(key)
            if not isinstance(value, str):
                continue
            if value.lower() in first:
                place = first[value.lower()]
                yield Fault(path=("admin", "tokens", i, key), problem=problem.format(place), remedy=remedy)
            first.setdefault(value.lower(), i)


def _names(config: dict[str, Any]) -> Iterator[Fault]:
    first: dict[str, int] = {}
    for i, route in enumerate(_list(config.get("routes"))):
        name = _mapping(route).get("name")
        if not isinstance(name, str):
            continue
        if name in first:
            yield Fault(
                path=("routes", i, "name"),
                problem=f"the same name as routes[{first[name]}]",
                remedy="give each route a name of its own",
            )
        first.setdefault(name, i)


def _destinations(config: dict[str, Any]) -> Iterator[Fault]:
    known = list(_mapping(config.get("upstreams")))
    for i, route in enumerate(_list(config.get("routes"))):
        name = _mapping(route).get("upstream")
        if isinstance(name, str) and known and name not in known:
            yield Fault(
                path=("routes", i, "upstream"),
                problem=f"there is no upstream {name!r}",
                remedy=suggest(name, known),
            )


def _protected(config: dict[str, Any]) -> Iterator[Fault]:
    stages = list(_mapping(_mapping(config.get("registry")).get("stages")) or DEFAULT_STAGES)
    for i, route in enumerate(_list(config.get("routes"))):
        stage = _mapping(route).get("protected")
        if isinstance(stage, str) and stage not in stages:
            yield Fault(
                path=("routes", i, "protected"),
                problem=f"there is no stage {stage!r}",
                remedy=suggest(stage, stages),
            )


def _never_reached(config: dict[str, Any]) -> Iterator[Fault]:
    catch_all: str | None = None
    for i, entry in enumerate(_list(config.get("routes"))):
        if not isinstance(entry, dict):
            continue
        if catch_all is not None:
            yield Fault(
                path=("routes", i),
                problem=f"no request gets here, because {catch_all} takes every one",
                remedy="put the route without conditions last",
            )
            return
        conditions = entry.get("match", {})
        if isinstance(conditions, dict) and not any(conditions.values()):
            catch_all = f"routes[{i}]"


def suggest(word: str, known: list[str]) -> str:
    """What to write instead of an unknown word."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if close:
        return did_you_mean(close[0])
    listed = ", ".join(known[:20])
    return f"use one of: {listed}{', ...' if len(known) > 20 else ''}"


def did_you_mean(word: str) -> str:
    """The remedy for a misspelt word."""
    return f"did you mean {word}?"


def _bind(value: object) -> Bind | None:
    try:
        return parse_bind(value)
    except InvalidValueError:
        return None


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
