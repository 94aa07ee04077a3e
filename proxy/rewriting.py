"""Changes the head of a request for one upstream: headers, host, and the beginning of the path."""

from __future__ import annotations

from collections.abc import Mapping

from proxy import plain
from proxy.target import path_of, routing_path, split_target


class Rewrite:
    """The changes for one upstream. Heads come from a strict scan: no folded lines, one Host at most."""

    __slots__ = ("_added", "_dropped", "_host", "_prefix", "_replace", "model")

    def __init__(
        self, add: Mapping[str, str], remove: list[str], host: str, prefix: str, replace: str, model: str
    ) -> None:
        # Not a matter of the head: see `proxy.model_names`.
        self.model = model.encode("utf-8")
        self._added = b"".join(f"{name}: {value}\r\n".encode("latin-1") for name, value in add.items())
        self._dropped = frozenset(name.lower().encode("ascii") for name in (*add, *remove))
        self._host = f"host: {host}".encode("ascii") if host else b""
        self._prefix = prefix.rstrip("/").encode("utf-8")
        self._replace = replace.rstrip("/").encode("utf-8")

    def apply(self, head: bytes) -> bytes:
        """Return a head (request line and header lines, each with its CRLF) as this upstream gets it."""
        first, *lines = head[:-2].split(b"\r\n")
        if self._prefix or self._replace:
            method, target, version = first.split(b" ")
            first = b" ".join((method, self._target(target), version))
        kept = [first]
        for line in lines:
            name = line[: line.index(b":")].lower()
            if name == b"host" and self._host:
                kept.append(self._host)
            elif name not in self._dropped:
                kept.append(line)
        return b"\r\n".join(kept) + b"\r\n" + self._added

    def _target(self, target: bytes) -> bytes:
        """The target with another beginning of its path; as it came where the path does not begin so."""
        path = path_of(target)
        if not path.startswith(b"/"):
            return target
        rest = split_target(target)[1][len(path) :] if target[:1] != b"/" else target[len(path) :]
        if not self._begins(path):
            # The route was found by the one spelling of the path, so this has to look at it, too.
            spelled = routing_path(target)
            if spelled is None or not self._begins(spelled):
                return target
            path = spelled
        return (self._replace + path[len(self._prefix) :] or b"/") + rest

    def _begins(self, path: bytes) -> bool:
        return path.startswith(self._prefix) and path[len(self._prefix) : len(self._prefix) + 1] in (
            b"",
            b"/",
        )


def read_rewrite(value: object, place: str) -> Rewrite | None:
    """The rewrite of a table entry, None when there is none.

    Raises:
        PlainError: it is malformed.
    """
    if value is None:
        return None
    entry = plain.mapping(value, place)
    add = plain.mapping(entry.get("add", {}), f"{place}.add")
    path = plain.mapping(entry.get("path") or {}, f"{place}.path")
    return Rewrite(
        {name: plain.text(text, f"{place}.add.{name}") for name, text in add.items()},
        plain.texts(entry.get("remove", []), f"{place}.remove"),
        plain.text(entry.get("host") or "", f"{place}.host"),
        plain.text(path.get("prefix", ""), f"{place}.path.prefix"),
        plain.text(path.get("replace", ""), f"{place}.path.replace"),
        plain.text(entry.get("model") or "", f"{place}.model"),
    )
