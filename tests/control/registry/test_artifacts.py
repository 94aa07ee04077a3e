"""Artifacts: stored once by their digest, verified when read, never outside of their place."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from control.errors import ArtifactError, InvalidError
from control.registry.artifacts import Artifacts

# More than is sent in one request.
LARGE = 17 * 1024 * 1024


@pytest.fixture(scope="module")
def s3() -> Iterator[dict[str, str]]:
    """An S3 that runs here, with one bucket; what obstore needs to know of it."""
    # Here: every process of the tests collects this file, and one of them needs these libraries.
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **keys)
    client.create_bucket(Bucket="models")
    client.close()
    yield {**keys, "endpoint": endpoint, "region": "us-east-1", "allow_http": "true"}
    server.stop()


@pytest.fixture(params=["directory", "s3"])
def artifacts(request: pytest.FixtureRequest, tmp_path: Path) -> Artifacts:
    """An empty place of each kind."""
    if request.param == "directory":
        return Artifacts.at("store", base=tmp_path)
    options = dict(request.getfixturevalue("s3"))
    keys = {name: options.pop(name) for name in ("aws_access_key_id", "aws_secret_access_key")}
    client = {"allow_http": True}
    options.pop("allow_http")
    return Artifacts.at(f"s3://models/{tmp_path.name}", config={**keys, **options}, client_options=client)


def test_a_file_comes_back_as_it_was(artifacts: Artifacts, tmp_path: Path) -> None:
    """In one piece or in several; stored again it is the same object."""
    for size in (0, 7, LARGE):
        path = tmp_path / f"model-{size}.bin"
        path.write_bytes(os.urandom(size))
        told: list[int] = []

        artifact = artifacts.put(path, progress=told.append)

        assert artifact.digest == "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
        assert (artifact.size, artifact.name, artifact.kind) == (size, path.name, "file")
        assert sum(told) == 2 * size
        assert artifacts.put(path) == artifact
        copy = artifacts.fetch(artifact, tmp_path / f"copy-{size}")
        assert copy.read_bytes() == path.read_bytes()


def test_a_directory_comes_back_and_equal_ones_are_one(artifacts: Artifacts, tmp_path: Path) -> None:
    """Names, content and whether a file may be executed; neither times nor owners."""
    for name in ("one", "other"):
        folder = tmp_path / name
        (folder / "code").mkdir(parents=True)
        (folder / "code" / "run.sh").write_text("#!/bin/sh\n")
        (folder / "code" / "run.sh").chmod(0o755)
        (folder / "weights").write_bytes(b"\x00" * 5000)
        (folder / "empty").mkdir()
        os.utime(folder / "weights", (1, 1) if name == "one" else (2, 2))

    one, other = artifacts.put(tmp_path / "one"), artifacts.put(tmp_path / "other")

    assert (one.digest, one.kind) == (other.digest, "directory")
    back = artifacts.fetch(one, tmp_path / "back")
    assert sorted(path.relative_to(back).as_posix() for path in back.rglob("*")) == [
        "code",
        "code/run.sh",
        "empty",
        "weights",
    ]
    assert os.access(back / "code" / "run.sh", os.X_OK)
    assert (back / "weights").read_bytes() == b"\x00" * 5000


def test_what_is_stored_is_verified_when_it_is_read(artifacts: Artifacts, tmp_path: Path) -> None:
    """Missing, or of another size: said before anything is registered or written."""
    (tmp_path / "m").write_bytes(b"model")
    artifact = artifacts.put(tmp_path / "m")
    artifacts.check(artifact)
    artifacts.verify(artifact)
    missing = replace(artifact, digest="sha256:" + "0" * 64)

    with pytest.raises(ArtifactError, match="is not in"):
        artifacts.check(missing)
    with pytest.raises(ArtifactError, match="is not in"):
        artifacts.verify(missing)
    with pytest.raises(ArtifactError, match=r"has 5 bytes in .*, not 6"):
        artifacts.check(replace(artifact, size=6))


def test_a_changed_artifact_is_found_and_never_handed_out(tmp_path: Path) -> None:
    """One byte is enough; a fetch leaves nothing behind."""
    artifacts = Artifacts.at("store", base=tmp_path)
    (tmp_path / "m").write_bytes(b"model")
    artifact = artifacts.put(tmp_path / "m")
    stored = next(path for path in (tmp_path / "store").rglob("*") if path.is_file())
    stored.write_bytes(b"mOdel")

    with pytest.raises(ArtifactError, match="is not what was stored"):
        artifacts.verify(artifact)
    with pytest.raises(ArtifactError, match="is not what was stored"):
        artifacts.fetch(artifact, tmp_path / "out" / "copy")
    assert list((tmp_path / "out").iterdir()) == []


def test_what_cannot_be_stored_is_refused(tmp_path: Path) -> None:
    """A file that is not there, a device, a directory that leads elsewhere."""
    artifacts = Artifacts.at("store", base=tmp_path)
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "passwd").symlink_to("/etc/passwd")

    for path, message in (
        (tmp_path / "missing", "cannot be read: No such file"),
        (Path("/dev/null"), "no file and no directory"),
        (linked, "is a link"),
    ):
        with pytest.raises(ArtifactError, match=message):
            artifacts.put(path)
    assert not [path for path in (tmp_path / "store").rglob("*") if path.is_file()]


def test_a_fetch_never_writes_over_anything(tmp_path: Path) -> None:
    """Whatever stands there stays."""
    artifacts = Artifacts.at("store", base=tmp_path)
    (tmp_path / "m").write_bytes(b"model")
    artifact = artifacts.put(tmp_path / "m")

    with pytest.raises(ArtifactError, match="exists already"):
        artifacts.fetch(artifact, tmp_path / "m")
    assert (tmp_path / "m").read_bytes() == b"model"


def test_places_that_cannot_be_used_say_why(tmp_path: Path) -> None:
    """A scheme nobody knows, a directory below nothing, a file in the way."""
    (tmp_path / "file").write_text("x")
    for place, message in (
        ("ftp://host/x", "ftp:// is not supported"),
        ("relative", "below no directory"),
        (str(tmp_path / "file"), "cannot be used"),
    ):
        with pytest.raises(InvalidError, match=message):
            Artifacts.at(place)
    assert Artifacts.at("gs://bucket/prefix").place == "gs://bucket/prefix"
    account = {"azure_storage_account_name": "x"}
    assert Artifacts.at("az://container/prefix/", config=account).place == "az://container/prefix"
