"""Artifacts over HTTP, piece by piece: taken and given only when they are what their digest says."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from pathlib import Path
from typing import IO, Final

from aiohttp import web

from control.api.description import operation, query_of
from control.api.door import DOOR
from control.api.errors import ApiError
from control.api.models import reference_of
from control.api.requests import json_response
from control.errors import ArtifactError, BusyError
from control.registry.draft import check_digest

UPLOAD_BYTES_MAX: Final = 8 * 1024**3
"""The largest artifact that is taken this way; what is larger is stored where artifacts are kept."""
_UPLOADS_MAX: Final = 4
_SILENCE_SECONDS: Final = 60.0
_UPLOADS: Final = web.AppKey("uploads", asyncio.Semaphore)
_BYTES: Final = "application/octet-stream"


def routes() -> list[web.RouteDef]:
    """The paths of artifacts."""
    return [
        web.put("/v1/artifacts/{digest}", put_artifact),
        web.get("/v1/models/{name}/versions/{version}/artifact", get_artifact),
    ]


def prepare(application: web.Application) -> None:
    """Bound how many are taken at once."""
    application[_UPLOADS] = asyncio.Semaphore(_UPLOADS_MAX)


@operation(status=201, errors=(413, 422), takes=_BYTES)
async def put_artifact(request: web.Request) -> web.Response:
    """Store an artifact under its SHA-256, `sha256:` and 64 digits, to register it then.

    What is stored is never replaced: the same bytes again are answered alike. A directory is sent as a tar
    archive, and registered with the kind `directory`.
    """
    query_of(request)
    digest = request.match_info["digest"]
    check_digest(digest)
    uploads = request.app[_UPLOADS]
    if uploads.locked():
        raise BusyError(f"{_UPLOADS_MAX} artifacts are being taken already", "try again in a while")
    if (request.content_length or 0) > UPLOAD_BYTES_MAX:
        raise _too_large()
    shelf = request.app[DOOR].shelf
    artifacts = await shelf.artifacts()
    async with uploads:
        # In the state directory: what else there is may be small, or not writable.
        with tempfile.TemporaryDirectory(prefix="upload-", dir=shelf.base) as folder:
            path = Path(folder) / "artifact"
            with path.open("wb") as file:
                found = await _taken(request, file)
            if found != digest:
                raise ArtifactError(
                    f"{digest} was to come, and {found} came",
                    "it was changed or cut on its way; send it again",
                )
            stored = await asyncio.to_thread(artifacts.put, path)
    return json_response({"digest": stored.digest, "size": stored.size}, status=201)


@operation(errors=(404, 422), answer=_BYTES)
async def get_artifact(request: web.Request) -> web.StreamResponse:
    """The artifact's bytes; refused, or cut on the way, when they are not what was registered."""
    query_of(request)
    shelf = request.app[DOOR].shelf
    release = (await shelf.registry.get(reference_of(request))).release
    artifacts = await shelf.artifacts()
    await asyncio.to_thread(artifacts.check, release.artifact)
    response = web.StreamResponse(
        headers={
            "Content-Type": _BYTES,
            "Content-Length": str(release.artifact_size),
            "X-Headgate-Digest": release.artifact_digest,
        }
    )
    pieces = artifacts.read(release.artifact)
    waiting = await asyncio.to_thread(next, pieces, b"")
    # One piece stays behind, so that a wrong artifact never arrives whole; a small one is refused in words.
    piece = await asyncio.to_thread(next, pieces, None)
    await response.prepare(request)
    while piece is not None:
        await response.write(waiting)
        waiting, piece = piece, await asyncio.to_thread(next, pieces, None)
    await response.write(waiting)
    await response.write_eof()
    return response


async def _taken(request: web.Request, file: IO[bytes]) -> str:
    """Write the body into *file*; returns its digest."""
    hashed, size = hashlib.sha256(), 0
    while True:
        try:
            async with asyncio.timeout(_SILENCE_SECONDS):
                chunk = await request.content.readany()
        except TimeoutError:
            raise ApiError(
                408, "too_slow", f"nothing came for {_SILENCE_SECONDS:g} s", "send it again"
            ) from None
        except (web.RequestPayloadError, ConnectionError) as error:
            raise ApiError(400, "cut_off", "the artifact broke off on its way", "send it again") from error
        if not chunk:
            return f"sha256:{hashed.hexdigest()}"
        size += len(chunk)
        if size > UPLOAD_BYTES_MAX:
            raise _too_large()
        hashed.update(chunk)
        await asyncio.to_thread(file.write, chunk)


def _too_large() -> ApiError:
    return ApiError(
        413,
        "body_too_large",
        f"an artifact of more than {UPLOAD_BYTES_MAX} bytes is not taken here",
        "store it where artifacts are kept: headgate registry register does so beside the control process",
    )
