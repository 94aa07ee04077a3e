"""Artifacts by their SHA-256, in a directory or an object store: written once, verified whenever read."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError
from obstore.store import LocalStore, ObjectStore, from_url

from control.errors import ArtifactError, InvalidError
from control.registry.draft import check_digest
from control.registry.packing import Source, unpack
from control.registry.release import Artifact

# Parts of an upload in several pieces; S3 takes 10 000 of them, so this allows 320 GB.
_PART_BYTES: Final = 32 * 1024 * 1024
_CHUNK_BYTES: Final = 4 * 1024 * 1024
# What is smaller goes up in one request, which can say "only if there is nothing yet".
_SINGLE_BYTES_MAX: Final = 16 * 1024 * 1024
_SCHEMES: Final = ("s3", "gs", "az")

Progress = Callable[[int], None]
"""Told how many more bytes have been dealt with."""


def _quiet(_: int) -> None:
    return


class Artifacts:
    """One place where artifacts are kept."""

    def __init__(self, place: str, store: ObjectStore) -> None:
        self.place = place
        self._store = store

    @classmethod
    def at(cls, place: str, *, base: Path | None = None, **options: Any) -> Artifacts:
        """A directory, relative to *base*, or ``s3://``, ``gs://``, ``az://``; *options* are for obstore.

        Credentials come from the environment, as the tools of each provider take them.

        Raises:
            InvalidError: it is neither, or cannot be used.
        """
        scheme = urlsplit(place).scheme
        try:
            if scheme in _SCHEMES:
                return cls(place.rstrip("/"), from_url(place, **options))
            if "://" in place:
                raise InvalidError(
                    f"artifacts: {scheme}:// is not supported", "use a directory, s3://, gs:// or az://"
                )
            path = Path(place)
            if not path.is_absolute():
                if base is None:
                    raise InvalidError(f"artifacts: {place} is below no directory", "give an absolute path")
                path = base / path
            path = path.absolute()
            path.mkdir(parents=True, exist_ok=True)
            return cls(str(path), LocalStore(path))
        except (OSError, ValueError, obstore.exceptions.BaseError) as error:
            raise InvalidError(f"artifacts: {place} cannot be used: {_cause(error)}", "correct it") from error

    def put(self, path: Path, *, progress: Progress = _quiet) -> Artifact:
        """Store a file or a directory; the same bytes are stored once, however often they come.

        *progress* counts every byte twice: once when it is read for the digest, once when it is stored.

        Raises:
            ArtifactError: it is not there, cannot be read, or changes while it is read.
        """
        source = Source.of(path)
        hashed = hashlib.sha256()
        size = 0
        for chunk in source.chunks():
            hashed.update(chunk)
            size += len(chunk)
            progress(len(chunk))
        artifact = Artifact(
            digest=f"sha256:{hashed.hexdigest()}", size=size, name=source.name, kind=source.kind
        )
        if self.size(artifact.digest) == size:
            progress(size)
            return artifact
        self._write(artifact, source, progress)
        return artifact

    def size(self, digest: str) -> int | None:
        """How many bytes are stored under a digest; None when nothing is."""
        try:
            return int(obstore.head(self._store, _key(digest))["size"])
        except FileNotFoundError:
            return None
        except (OSError, obstore.exceptions.BaseError) as error:
            raise ArtifactError(
                f"{self.place} cannot be read: {_cause(error)}", "check access to it"
            ) from error

    def check(self, artifact: Artifact) -> None:
        """Refuse an artifact that is not stored in full.

        Raises:
            ArtifactError: it is missing, or has another size.
        """
        size = self.size(artifact.digest)
        if size is None:
            raise ArtifactError(
                f"artifact {artifact.digest} is not in {self.place}", "store it before it is registered"
            )
        if size != artifact.size:
            raise ArtifactError(
                f"artifact {artifact.digest} has {size} bytes in {self.place}, not {artifact.size}",
                "it was cut short or changed; store it again",
            )

    def read(self, artifact: Artifact) -> Iterator[bytes]:
        """The bytes, piece by piece. What they come to is checked at the end, so use none of them before.

        Raises:
            ArtifactError: it is missing, or not what its digest says.
        """
        try:
            stream = obstore.get(self._store, _key(artifact.digest)).stream(min_chunk_size=_CHUNK_BYTES)
            yield from checked(artifact, map(bytes, stream), self.place)
        except FileNotFoundError as error:
            raise ArtifactError(
                f"artifact {artifact.digest} is not in {self.place}", "restore it from a copy"
            ) from error
        except (OSError, obstore.exceptions.BaseError) as error:
            raise ArtifactError(f"{self.place} cannot be read: {_cause(error)}", "try again") from error

    def verify(self, artifact: Artifact, *, progress: Progress = _quiet) -> None:
        """Read all of it and compare; raises as `read`."""
        for chunk in self.read(artifact):
            progress(len(chunk))

    def fetch(self, artifact: Artifact, target: Path, *, progress: Progress = _quiet) -> Path:
        """Write an artifact to *target*, which must not exist; a directory is unpacked.

        Nothing is there under its name before all of it was verified.

        Raises:
            ArtifactError: as `read`; or something is in the way.
        """
        if target.is_symlink() or target.exists():
            raise ArtifactError(f"{target} exists already", "name another place, or move it away")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(
                dir=target.parent, prefix=f".{target.name}.", delete=False
            ) as file:
                partial = Path(file.name)
                try:
                    for chunk in self.read(artifact):
                        file.write(chunk)
                        progress(len(chunk))
                    file.flush()
                    os.fsync(file.fileno())
                    if artifact.kind == "directory":
                        unpack(partial, target)
                    else:
                        # Unlike a rename, a link never replaces what came there meanwhile.
                        os.link(partial, target)
                        target.chmod(0o644)
                finally:
                    partial.unlink(missing_ok=True)
        except OSError as error:
            raise ArtifactError(
                f"{target} cannot be written: {error.strerror}", "name another place"
            ) from error
        return target

    def _write(self, artifact: Artifact, source: Source, progress: Progress) -> None:
        hashed = hashlib.sha256()

        def again() -> Iterator[bytes]:
            for chunk in source.chunks():
                hashed.update(chunk)
                progress(len(chunk))
                yield chunk
            if f"sha256:{hashed.hexdigest()}" != artifact.digest:
                # Raised before the store is told that this was all: nothing appears under the digest.
                raise ArtifactError(f"{source.path} changed while it was stored", "store it when it is whole")

        key = _key(artifact.digest)
        try:
            if artifact.size <= _SINGLE_BYTES_MAX:
                obstore.put(self._store, key, b"".join(again()), mode="create")
            else:
                obstore.put(self._store, key, again(), chunk_size=_PART_BYTES, max_concurrency=2)
        except (AlreadyExistsError, FileExistsError):
            # Somebody stored the same bytes meanwhile; others cannot be under this name.
            self.check(artifact)
        except ArtifactError:
            raise
        except (OSError, obstore.exceptions.BaseError) as error:
            raise ArtifactError(
                f"{self.place} cannot be written: {_cause(error)}", "check access to it"
            ) from error


def checked(artifact: Artifact, chunks: Iterable[bytes], place: str) -> Iterator[bytes]:
    """*chunks* as they come, and an error behind the last one when they were not the artifact.

    Raises:
        ArtifactError: they have another digest or another size.
    """
    hashed, size = hashlib.sha256(), 0
    for chunk in chunks:
        hashed.update(chunk)
        size += len(chunk)
        yield chunk
    if f"sha256:{hashed.hexdigest()}" != artifact.digest or size != artifact.size:
        raise ArtifactError(
            f"artifact {artifact.digest} in {place} is not what was stored "
            f"({size} bytes with SHA-256 {hashed.hexdigest()})",
            "do not use it; restore it from a copy",
        )


def _key(digest: str) -> str:
    check_digest(digest)
    hexadecimal = digest.removeprefix("sha256:")
    return f"sha256/{hexadecimal[:2]}/{hexadecimal}"


def _cause(error: BaseException) -> str:
    # What comes after the first line is the library's own view of things.
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
