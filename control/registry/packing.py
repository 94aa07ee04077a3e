"""A file or a directory as one stream of bytes: a directory becomes a tar archive that is always the same."""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from control.errors import ArtifactError

_CHUNK_BYTES: Final = 4 * 1024 * 1024
_FILES_MAX: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What is to be stored; `kind` is ``file`` or ``directory``."""

    path: Path
    name: str
    kind: str

    @classmethod
    def of(cls, path: Path) -> Source:
        """The source at *path*.

        Raises:
            ArtifactError: there is nothing there that could be stored.
        """
        try:
            whole = path.resolve(strict=True)
            mode = whole.stat().st_mode
        except (OSError, RuntimeError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise ArtifactError(
                f"artifact {path} cannot be read: {why}", "name a file or directory"
            ) from error
        if stat.S_ISDIR(mode):
            return cls(path=whole, name=whole.name, kind="directory")
        if stat.S_ISREG(mode):
            return cls(path=whole, name=whole.name, kind="file")
        raise ArtifactError(f"artifact {path} is no file and no directory", "name one that is")

    def chunks(self) -> Iterator[bytes]:
        """Its bytes.

        Raises:
            ArtifactError: something in it cannot be read, or leads elsewhere.
        """
        try:
            if self.kind == "file":
                yield from _file(self.path)
            else:
                yield from _archive(self.path)
        except OSError as error:
            place = error.filename or self.path
            raise ArtifactError(
                f"artifact {place} cannot be read: {error.strerror}", "check its files"
            ) from error


def unpack(archive: Path, target: Path) -> None:
    """Write the files of an archive below *target*; none of them can lie elsewhere.

    Raises:
        ArtifactError: the archive is none of ours.
    """
    target.mkdir()
    try:
        with tarfile.open(archive, "r:") as tar:
            tar.extractall(target, filter="data")
    except (tarfile.TarError, OSError) as error:
        raise ArtifactError(f"the archive cannot be unpacked: {error}", "fetch it as a file") from error


def _file(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def _archive(root: Path) -> Iterator[bytes]:
    """An uncompressed tar archive in one order, with neither owners nor times: equal content, equal bytes."""
    for path in _members(root):
        info = tarfile.TarInfo(path.relative_to(root).as_posix())
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            raise ArtifactError(f"artifact {path} is a link", "put the file itself there")
        if stat.S_ISDIR(status.st_mode):
            info.type, info.mode = tarfile.DIRTYPE, 0o755
        elif stat.S_ISREG(status.st_mode):
            info.size, info.mode = status.st_size, 0o755 if status.st_mode & stat.S_IXUSR else 0o644
        else:
            raise ArtifactError(f"artifact {path} is no file and no directory", "take it out")
        yield info.tobuf(tarfile.PAX_FORMAT)
        if info.isreg():
            yield from _body(path, info.size)
    yield b"\0" * (2 * tarfile.BLOCKSIZE)


def _members(root: Path) -> Iterator[Path]:
    count = 0
    for folder, folders, files in os.walk(root):
        folders.sort()
        for name in sorted([*folders, *files]):
            count += 1
            if count > _FILES_MAX:
                raise ArtifactError(f"artifact {root} has more than {_FILES_MAX} files", "pack it yourself")
            yield Path(folder, name)


def _body(path: Path, size: int) -> Iterator[bytes]:
    left = size
    with path.open("rb") as file:
        while left and (chunk := file.read(min(left, _CHUNK_BYTES))):
            left -= len(chunk)
            yield chunk
    if left:
        raise ArtifactError(f"artifact {path} became shorter while it was read", "store it when it is whole")
    yield b"\0" * (-size % tarfile.BLOCKSIZE)
