"""Artifacts that are kept where only the control process can reach them: they come and go through its API."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from control.cli.client import AdminClient
from control.cli.failure import CommandError, UnreachableError
from control.errors import ArtifactError
from control.registry.artifacts import Artifacts, Progress, checked
from control.registry.packing import Source
from control.registry.release import Artifact

_PIECE_BYTES = 1024 * 1024


def kept_by(client: AdminClient, place: str, where: str) -> Artifacts:
    """Where artifacts are kept, as this machine reaches it; *where* is the path of a release's artifact.

    Raises:
        InvalidError: the place cannot be used.
    """
    if reachable(place):
        return Artifacts.at(place)
    return Distant(client, place, where)


def reachable(place: str) -> bool:
    """Whether this process can write to where artifacts are kept."""
    return "://" in place or (Path(place).is_dir() and os.access(place, os.W_OK))


class Distant(Artifacts):
    """A directory on the machine, or in the container, of the control process."""

    def __init__(self, client: AdminClient, place: str, where: str) -> None:
        self.place = place
        self._client = client
        self._where = where

    def size(self, _digest: str) -> int | None:
        """Nobody knows before it is sent; what is there already is not stored again."""
        return None

    def read(self, artifact: Artifact) -> Iterator[bytes]:
        """The bytes, piece by piece; raises as `Artifacts.read`."""
        try:
            yield from checked(artifact, self._client.pieces(self._where, _PIECE_BYTES), self.place)
        except UnreachableError:
            raise
        except CommandError as error:
            raise ArtifactError(error.format_message()) from error

    def _write(self, artifact: Artifact, source: Source, progress: Progress) -> None:
        def pieces() -> Iterator[bytes]:
            for chunk in source.chunks():
                progress(len(chunk))
                yield chunk

        self._client.upload(f"/v1/artifacts/{artifact.digest}", pieces(), artifact.size)
