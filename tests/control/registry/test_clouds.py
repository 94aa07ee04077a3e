"""Artifacts in Google Cloud Storage and in Azure: what goes over the wire, against a stand-in for both."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from control.errors import ArtifactError, InvalidError
from control.registry.artifacts import Artifacts
from tests.helpers.buckets import Bucket, bucket

CLIENT = {"allow_http": True}


@pytest.fixture
def cloud() -> Iterator[Bucket]:
    with bucket() as kept:
        yield kept


def artifacts_in(kind: str, cloud: Bucket) -> Artifacts:
    """A place in the stand-in, with the settings that tools of each provider take."""
    if kind == "gs":
        key = {"gcs_base_url": cloud.url, "disable_oauth": True, "client_email": "", "private_key": ""}
        config = {"google_service_account_key": json.dumps(key | {"private_key_id": ""})}
        return Artifacts.at("gs://models/headgate", config=config, client_options=CLIENT)
    config = {
        "azure_storage_account_name": "account",
        "azure_storage_account_key": base64.b64encode(b"key").decode(),
        "azure_storage_endpoint": cloud.url,
    }
    return Artifacts.at("az://models/headgate", config=config, client_options=CLIENT)


@pytest.mark.parametrize("kind", ["gs", "az"])
def test_an_artifact_comes_back_and_is_never_replaced(kind: str, cloud: Bucket, tmp_path: Path) -> None:
    """Written under its digest, with the condition that nothing is there; verified when read."""
    artifacts = artifacts_in(kind, cloud)
    (tmp_path / "m").write_bytes(b"model")

    artifact = artifacts.put(tmp_path / "m")

    [(name, content)] = cloud.objects.items()
    assert content == b"model"
    assert name.endswith(f"/headgate/sha256/{artifact.digest[7:9]}/{artifact.digest[7:]}")
    [(_, _, condition)] = [each for each in cloud.seen if each[0] == "PUT"]
    assert condition == {"gs": "0", "az": "*"}[kind]
    assert artifacts.put(tmp_path / "m") == artifact
    artifacts.fetch(artifact, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"model"
    cloud.objects[name] = b"mOdel"
    with pytest.raises(ArtifactError, match="is not what was stored"):
        artifacts.verify(artifact)
    del cloud.objects[name]
    with pytest.raises(ArtifactError, match="is not in"):
        artifacts.check(artifact)


@pytest.mark.parametrize("kind", ["gs", "az"])
def test_somebody_who_was_faster_has_stored_the_same(kind: str, cloud: Bucket, tmp_path: Path) -> None:
    """Another one that wrote between the look and the write is no error."""
    artifacts = artifacts_in(kind, cloud)
    (tmp_path / "m").write_bytes(b"model")
    artifact = artifacts.put(tmp_path / "m")
    [name] = cloud.objects

    class Late(dict[str, bytes]):
        """Seems empty at the first look."""

        looks = 0

        def get(self, key: str, default: bytes | None = None) -> bytes | None:  # type: ignore[override]
            self.looks += 1
            return default if self.looks == 1 else super().get(key, default)

    cloud.objects = Late(cloud.objects)

    assert artifacts.put(tmp_path / "m") == artifact
    assert len([each for each in cloud.seen if each[0] == "PUT"]) == 2
    assert cloud.objects[name] == b"model"


@pytest.mark.parametrize(
    ("place", "config"),
    [
        ("gs://models", {"google_service_account_key": "no json"}),
        ("az://models", {}),
        ("az://models", {"azure_storage_account_name": "a", "azure_storage_account_key": "no base64!"}),
    ],
)
def test_settings_that_cannot_be_used_say_so(
    place: str, config: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is stored; the key itself is not repeated."""
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)

    with pytest.raises(InvalidError, match=f"artifacts: {place} cannot be used") as refused:
        Artifacts.at(place, config=config)
    assert "no base64!" not in str(refused.value)
