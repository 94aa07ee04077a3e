"""Versions of releases: how they are read, when two are the same, and which is newer. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import semver

from config.registry import Versions
from control.errors import InvalidError

_LENGTH_MAX: Final = 128
_DIGITS_MAX: Final = 18
_OPAQUE: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._+-]{0,126}[A-Za-z0-9])?")
# v9 and 2.1 are written more often than they should be; missing parts are zero.
_SHORT: Final = re.compile(r"(0|[1-9]\d*)(?:\.(0|[1-9]\d*))?(?:\.(0|[1-9]\d*))?((?:[-+].*)?)", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A version as written, the key that equal ones share, and bytes that sort as versions do.

    `rank` is empty for opaque versions, which have no order of their own.
    """

    text: str
    key: str
    rank: bytes

    @property
    def prerelease(self) -> bool:
        """Whether it comes before a release proper, such as ``2.0.0-rc.1``."""
        return bool(self.rank) and not self.rank.endswith(b"~")


def parse_version(text: str, scheme: Versions) -> Version:
    """Read a version.

    Raises:
        InvalidError: it does not follow the scheme.
    """
    if scheme == "opaque":
        if not _OPAQUE.fullmatch(text):
            raise InvalidError(
                f"{_shown(text)} is not a version",
                "use up to 128 letters, digits, '.', '-', '_' and '+', with a letter or digit at both ends",
            )
        return Version(text=text, key=text, rank=b"")
    parsed = _semantic(text)
    return Version(text=text, key=str(parsed), rank=_rank(parsed))


def _semantic(text: str) -> semver.Version:
    problem = InvalidError(
        f"{_shown(text)} is not a semantic version",
        "write it like 1.4.0, v1.4.0 or 2.0.0-rc.1, or set registry.versions to opaque",
    )
    if len(text) > _LENGTH_MAX:
        raise problem
    found = _SHORT.fullmatch(text[1:] if text[:1] in ("v", "V") else text)
    if found is None:
        raise problem
    numbers = [part or "0" for part in found.groups()[:3]]
    if any(len(number) > _DIGITS_MAX for number in numbers):
        raise problem
    try:
        return semver.Version.parse(".".join(numbers) + found[4])
    except ValueError as error:
        raise problem from error


def _rank(version: semver.Version) -> bytes:
    """Bytes that compare as Semantic Versioning 2.0.0, section 11, orders: databases sort by them."""
    numbers = ".".join(f"{part:020d}" for part in (version.major, version.minor, version.patch))
    if version.prerelease is None:
        # Sorts behind every pre-release of the same numbers.
        return f"{numbers} ~".encode()
    # A blank sorts before all that an identifier may hold, so a shorter list comes first.
    parts = [_identifier(part) for part in version.prerelease.split(".")]
    return f"{numbers} {' '.join(parts)} ".encode()


def _identifier(part: str) -> str:
    # Numeric identifiers come before the others, and compare as numbers whatever their length.
    return f"0{len(part):03d}{part}" if part.isdigit() else f"1{part}"


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:60] + "...")
