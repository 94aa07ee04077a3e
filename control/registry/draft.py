"""What may be registered: every field has a grammar and a bound. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from config.fields import parse_url
from config.values import InvalidValueError
from control.audit.canonical import canonical
from control.errors import InvalidError
from control.registry.names import check_name, parse_reference
from control.registry.release import Draft

_SHORT_MAX: Final = 256
_TEXT_MAX: Final = 10_000
_PAIRS_MAX: Final = 500
_LIST_MAX: Final = 100
_CONFIG_BYTES_MAX: Final = 256 * 1024
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_KEY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._/@%:-]{0,127}")


def check_draft(draft: Draft) -> Draft:
    """The draft with its endpoints written out, once all of it can be kept.

    Raises:
        InvalidError: names the field and what would do.
    """
    check_name(draft.name)
    check_digest(draft.artifact.digest)
    for field in ("framework", "dataset", "commit"):
        _text(field, getattr(draft, field), _SHORT_MAX)
    _text("uri", draft.uri, 2048)
    _text("description", draft.description, _TEXT_MAX)
    _text("artifact name", draft.artifact.name, _SHORT_MAX)
    if draft.artifact.kind not in ("file", "directory"):
        raise InvalidError(f"artifact kind: {draft.artifact.kind!r}", "write file or directory")
    if isinstance(draft.artifact.size, bool) or not 0 <= draft.artifact.size < 2**63:
        raise InvalidError(f"artifact size: {draft.artifact.size!r} is no number of bytes", "count them")
    _keys("metrics", draft.metrics)
    for metric, value in draft.metrics.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not _finite(value):
            raise InvalidError(f"metrics: {metric} is {value!r}", "give it a finite number, or leave it out")
    _keys("tags", draft.tags)
    for tag, text in draft.tags.items():
        _text(f"tag {tag}", text, _SHORT_MAX)
    _check_config(draft.config)
    _bounded("parents", draft.parents)
    for parent in draft.parents:
        _text("parents", parent, _SHORT_MAX)
        parse_reference(parent)
    _bounded("endpoints", draft.endpoints)
    return replace(
        draft,
        endpoints=tuple(_endpoint(url) for url in draft.endpoints),
        parents=tuple(draft.parents),
        metrics={metric: float(value) for metric, value in draft.metrics.items()},
    )


def check_digest(text: str) -> str:
    """The digest of an artifact: it becomes part of a path, so nothing else passes.

    Raises:
        InvalidError: it is none.
    """
    if not isinstance(text, str) or not _DIGEST.fullmatch(text):
        shown = repr(text if len(str(text)) <= 80 else str(text)[:80])
        raise InvalidError(f"artifact: {shown} is not a digest", "write sha256: and 64 hexadecimal digits")
    return text


def check_text(field: str, text: str, *, longest: int = _TEXT_MAX, required: bool = False) -> str:
    """A text that people wrote, without blanks around it.

    Raises:
        InvalidError: it is too long, has control characters, or is missing although *required*.
    """
    _text(field, text, longest)
    if required and not text.strip():
        raise InvalidError(f"{field}: is empty", "say why")
    return text.strip()


def _text(field: str, value: object, longest: int) -> None:
    if not isinstance(value, str):
        raise InvalidError(f"{field}: {value!r} is not a text", "put it in quotes")
    if len(value) > longest:
        raise InvalidError(f"{field}: is {len(value)} characters long", f"use at most {longest}")
    # PostgreSQL takes no zero in a text, and nobody can read the others.
    if any((ord(c) < 32 and c not in "\n\r\t") or 0xD800 <= ord(c) <= 0xDFFF for c in value):
        raise InvalidError(f"{field}: has characters that cannot be shown", "remove them")


def _keys(field: str, pairs: Mapping[str, object]) -> None:
    if len(pairs) > _PAIRS_MAX:
        raise InvalidError(f"{field}: there are {len(pairs)}", f"keep the {_PAIRS_MAX} that matter")
    for key in pairs:
        if not isinstance(key, str) or not _KEY.fullmatch(key):
            raise InvalidError(
                f"{field}: {key!r} is not a name", "use up to 128 letters, digits, blanks and . _ / @ % : -"
            )


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _check_config(config: Mapping[str, Any]) -> None:
    try:
        size = len(canonical(config))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidError(
            f"config: is not plain JSON ({error})", "use text, numbers, lists and objects"
        ) from error
    if b"\\u0000" in canonical(config):
        raise InvalidError("config: has a zero character", "remove it")
    if size > _CONFIG_BYTES_MAX:
        raise InvalidError(f"config: is {size} bytes long", f"use at most {_CONFIG_BYTES_MAX}")


def _bounded(field: str, values: Iterable[object]) -> None:
    count = len(list(values))
    if count > _LIST_MAX:
        raise InvalidError(f"{field}: there are {count}", f"name at most {_LIST_MAX}")


def _endpoint(url: str) -> str:
    try:
        return parse_url(url)
    except InvalidValueError as error:
        raise InvalidError(f"endpoints: {error.problem}", error.remedy) from error
