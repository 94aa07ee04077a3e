"""Writes generated files into a repository, and tells when what is there is not what would be written."""

from __future__ import annotations

import difflib
import os
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from control.ci.marker import Origin, read
from control.errors import ConflictError


class RefusedError(ConflictError):
    """Files that are not ours to overwrite, one line each."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """One file that differs from what would be written."""

    path: str
    missing: bool
    diff: str


def drift(root: Path, files: Mapping[str, str]) -> list[Drift]:
    """Every file below `root` that is missing or differs.

    Raises:
        OSError: a file cannot be read.
    """
    found = []
    for name, text in files.items():
        there = _read(root / name)
        if there != text:
            lines = difflib.unified_diff(
                (there or "").splitlines(keepends=True),
                text.splitlines(keepends=True),
                fromfile=f"{name} (as it is)" if there is not None else "/dev/null",
                tofile=f"{name} (as it would be written)",
            )
            found.append(Drift(path=name, missing=there is None, diff="".join(_ended(lines))))
    return found


def write(root: Path, files: Mapping[str, str], comment: str, *, force: bool = False) -> list[str]:
    """Write the files; returns the paths that changed. All or, when one is not ours, none.

    Raises:
        RefusedError: a file was edited or comes from somebody else, and `force` is not given.
        OSError: a file cannot be read or written.
    """
    refused = []
    changed = []
    for name, text in files.items():
        path = root / name
        _inside(root, path, name)
        there = _read(path)
        if there == text:
            continue
        origin = Origin.OURS if there is None else read(there, comment).origin
        if origin is Origin.EDITED:
            refused.append(
                f"{name}: was edited after it was written; move the change into the options, or --force"
            )
        elif origin is Origin.FOREIGN:
            refused.append(f"{name}: is there and was not written by this command; move it away, or --force")
        changed.append(name)
    if refused and not force:
        raise RefusedError(refused)
    for name in changed:
        _replace(root / name, files[name])
    return changed


def _inside(root: Path, path: Path, name: str) -> None:
    """A link in the repository must not lead the writer elsewhere."""
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise ValueError(f"{name} is not below the root")
    if not path.resolve().is_relative_to(root.resolve()):
        raise RefusedError([f"{name}: leads out of {root} through a link; remove the link"])


def _read(path: Path) -> str | None:
    try:
        # Bytes as they are: a changed end of line is an edit, too.
        return path.read_bytes().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return None


def _replace(path: Path, text: str) -> None:
    """Whole at once, so that an interrupted run leaves the old file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode("utf-8"))
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _ended(lines: Iterable[str]) -> Iterable[str]:
    for line in lines:
        yield line if line.endswith("\n") else f"{line}\n\\ no end of line\n"
