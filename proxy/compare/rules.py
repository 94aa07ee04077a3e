"""The rules of one comparison, made ready: a tree of paths with what applies at each place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

# What differs between any two answers of these servers, and says nothing about the model.
KSERVE_IGNORED: Final = ("/id", "/model_version")
OPENAI_IGNORED: Final = (
    "/created",
    "/created_at",
    "/system_fingerprint",
    "/usage",
    "/timings",
    "/choices/*/message/tool_calls/*/id",
    "/choices/*/delta/tool_calls/*/id",
)


class Place:
    """What applies at one place of an answer, and below it."""

    __slots__ = ("any", "cosine", "ignored", "labelled", "renamed", "similarity", "steps", "unordered")

    def __init__(self) -> None:
        self.steps: dict[str, Place] = {}
        self.any: Place | None = None
        self.ignored = False
        self.unordered = False
        self.labelled = False
        self.renamed = ""
        # Thresholds; 0 = does not apply.
        self.cosine = 0.0
        self.similarity = 0.0

    def at(self, path: str) -> Place:
        """The place of a path below this one, made if it is not there."""
        place = self
        for step in steps_of(path):
            if step == "*":
                if place.any is None:
                    place.any = Place()
                place = place.any
            else:
                place = place.steps.setdefault(step, Place())
        return place


Places = tuple[Place, ...]
"""The places that a path leads to: by its own steps and by *."""


def below(places: Places, step: str) -> Places:
    """Where one more step leads; empty when no rule looks there."""
    found: list[Place] = []
    for place in places:
        own = place.steps.get(step)
        if own is not None:
            found.append(own)
        if place.any is not None:
            found.append(place.any)
    return tuple(found)


def steps_of(path: str) -> list[str]:
    """The steps of a pointer; "/" alone is the whole."""
    return [step.replace("~1", "/").replace("~0", "~") for step in path.split("/")[1:]] if path != "/" else []


class Rules:
    """How answers are compared; the defaults are those of the configuration."""

    __slots__ = (
        "absolute",
        "headers",
        "places",
        "relative",
        "samples",
        "show_bodies",
        "status",
    )

    def __init__(self, given: Mapping[str, Any] | None = None) -> None:
        """Read what `routes[].shadows[].compare` says, in plain form; what is left out has its default."""
        given = given or {}
        own: Mapping[str, Any] = given.get("json") or {}
        self.status = bool(given.get("status", True))
        self.headers = [str(name).lower().encode("latin-1") for name in given.get("headers") or ()]
        self.relative = float(own.get("tolerance", 1e-6))
        self.absolute = float(own.get("absolute", 0.0))
        samples: Mapping[str, Any] = given.get("samples") or {}
        self.samples = int(samples.get("count", 10))
        self.show_bodies = bool(samples.get("bodies", False))
        root = Place()
        self._ignore(root, own.get("ignore") or ())
        if own.get("defaults", True):
            self._ignore(root, KSERVE_IGNORED)
            self._ignore(root, OPENAI_IGNORED)
        for path in own.get("unordered") or ():
            root.at(path).unordered = True
        for path, name in (own.get("renamed") or {}).items():
            root.at(path).renamed = name
        for rule in given.get("labels") or ():
            root.at(rule["path"]).labelled = True
        for rule in given.get("embeddings") or ():
            root.at(rule["path"]).cosine = float(rule.get("cosine", 0.999))
        for rule in given.get("texts") or ():
            root.at(rule["path"]).similarity = float(rule.get("similarity", 0.9))
        self.places: Places = (root,)

    def _ignore(self, root: Place, paths: Iterable[str]) -> None:
        for path in paths:
            root.at(path).ignored = True
