"""The registry and approvals over HTTP, as the agent passes requests on."""

from __future__ import annotations

import hashlib
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from control.api import artifacts
from control.api.openapi import document
from control.api.server import build_application
from control.errors import HeadgateError
from control.plane import Plane
from control.registry.release import Artifact
from tests.helpers.control import FakeClock, plane_on
from tests.helpers.control_server import Client, served

Served = tuple[Plane, Client]


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Served]:
    """A plane behind its socket."""
    async with served(tmp_path / "headgate.db") as (plane, client):
        yield plane, client


def as_(name: str, role: str) -> dict[str, str]:
    """The headers the agent adds for the holder of a token."""
    return {"X-Headgate-Actor": name, "X-Headgate-Role": role, "X-Headgate-Address": "192.0.2.7"}


ALICE, BOB, CAROL = as_("alice", "operator"), as_("bob", "approver"), as_("carol", "approver")


async def stored(plane: Plane, tmp_path: Path, content: bytes = b"model") -> dict[str, Any]:
    """An artifact that is there, as a registration names it."""
    plane.controller.shelf.base = tmp_path
    (tmp_path / "m.bin").write_bytes(content)
    made: Artifact = (await plane.controller.shelf.artifacts()).put(tmp_path / "m.bin")
    return {"digest": made.digest, "size": made.size, "name": made.name}


async def test_the_whole_way_to_production(api: Served, tmp_path: Path) -> None:
    """Register, ask, be refused, approve, promote, find, download."""
    plane, client = api
    artifact = await stored(plane, tmp_path)
    body = {"name": "fraud", "version": "v1.0.0", "artifact": artifact, "metrics": {"auc": 0.9}}
    made = await client.json("POST", "/v1/models", body, status=201, headers=ALICE)
    assert (made["stage"], made["created_by"]) == ("development", "alice")
    one = "/v1/models/fraud/versions/1.0.0"
    await client.json("POST", f"{one}/promote", {"stage": "staging"}, headers=ALICE)

    refused = await client.json("POST", f"{one}/promote", {"stage": "production"}, status=409, headers=ALICE)
    assert refused["error"]["code"] == "not_approved"
    assert refused["error"]["remedy"] == "headgate approvals request fraud:v1.0.0 --stage production"

    asked = await client.json(
        "POST", "/v1/approvals", {"release": "fraud:1", "justification": "new"}, status=201, headers=ALICE
    )
    path = f"/v1/approvals/{asked['id']}"
    for headers, status, code in (
        (ALICE, 403, "role_too_low"),
        (as_("alice", "admin"), 403, "forbidden"),
    ):
        denied = await client.json("POST", f"{path}/approve", {}, status=status, headers=headers)
        assert denied["error"]["code"] == code
    await client.json("POST", f"{path}/comments", {"text": "Which data?"}, status=201, headers=BOB)
    approved = await client.json("POST", f"{path}/approve", {"reason": "ok"}, headers=BOB)
    assert approved["status"] == "approved"
    moved = await client.json("POST", f"{one}/promote", {"stage": "production"}, headers=ALICE)
    assert (moved["stage"], moved["approved_by"], moved["aliases"]) == ("production", ["bob"], ["prod"])

    found = await client.json("GET", "/v1/models?stage=production&metric=auc%3E%3D0.9&tag=")
    assert found["total"] == 0
    found = await client.json("GET", "/v1/models?stage=production&metric=auc%3E%3D0.9")
    assert [each["version"] for each in found["models"]] == ["v1.0.0"]
    assert (await client.json("GET", "/v1/models/fraud/versions/@prod"))["version"] == "v1.0.0"
    text, response = await client.text("/v1/models/fraud/versions/@prod/artifact")
    assert (text, response.headers["X-Headgate-Digest"]) == ("model", artifact["digest"])
    await client.json("POST", f"{one}/verify", {})


async def test_an_artifact_that_is_missing_or_wrong_is_not_registered(api: Served, tmp_path: Path) -> None:
    """Whatever a client claims, control looks into the store itself."""
    plane, client = api
    artifact = await stored(plane, tmp_path)
    body = {"name": "fraud", "version": "1.0.0"}

    for wrong, status in (
        (artifact | {"digest": "sha256:" + "0" * 64}, 422),
        (artifact | {"size": 4}, 422),
        (artifact | {"digest": "sha256:../../../etc/passwd"}, 400),
        ({"size": 4}, 400),
        (artifact | {"path": "/etc/passwd"}, 400),
    ):
        answer = await client.json("POST", "/v1/models", body | {"artifact": wrong}, status=status)
        assert answer["error"]["remedy"]
    stored_file = next(each for each in (tmp_path / "artifacts").rglob("*") if each.is_file())
    stored_file.write_bytes(b"mOdel")
    answer = await client.json("POST", "/v1/models", body | {"artifact": artifact}, status=422)
    assert "is not what was stored" in answer["error"]["message"]
    assert (await client.json("GET", "/v1/models"))["models"] == []


async def test_breaking_the_glass_takes_a_role_and_a_reason(api: Served, tmp_path: Path) -> None:
    """And leaves a task that another person closes."""
    plane, client = api
    body = {"name": "fraud", "version": "1.0.0", "artifact": await stored(plane, tmp_path)}
    await client.json("POST", "/v1/models", body, status=201, headers=ALICE)
    one = "/v1/models/fraud/versions/1.0.0"
    await client.json("POST", f"{one}/promote", {"stage": "staging"}, headers=ALICE)
    glass = {"stage": "production", "break_glass": True, "reason": "outage"}

    await client.json("POST", f"{one}/promote", glass, status=403, headers=ALICE)
    await client.json("POST", f"{one}/promote", glass | {"reason": ""}, status=400, headers=BOB)
    await client.json("POST", f"{one}/promote", glass, headers=BOB)

    [task] = (await client.json("GET", "/v1/approval-tasks"))["tasks"]
    verdict = {"accept": True, "reason": "it was one"}
    path = f"/v1/approval-tasks/{task['id']}/review"
    await client.json("POST", path, verdict, status=403, headers=BOB)
    await client.json("POST", path, verdict, headers=CAROL)
    assert (await client.json("GET", "/v1/approval-tasks"))["tasks"] == []


async def test_aliases_over_http(api: Served, tmp_path: Path) -> None:
    """Put, look, revert, remove."""
    plane, client = api
    artifact = await stored(plane, tmp_path)
    for version in ("1.0.0", "2.0.0"):
        body = {"name": "fraud", "version": version, "artifact": artifact}
        await client.json("POST", "/v1/models", body, status=201)
    path = "/v1/models/fraud/aliases/champion"

    for version in ("1.0.0", "2.0.0"):
        await client.json("PUT", path, {"version": version})
    assert (await client.json("POST", f"{path}/revert", {}))["release"] == "fraud:1.0.0"
    assert len((await client.json("GET", path))["history"]) == 3
    assert (await client.json("GET", "/v1/models/fraud/aliases"))["aliases"][0]["previous"] == "fraud:2.0.0"
    await client.json("DELETE", path)
    await client.json("DELETE", path, status=404)
    await client.json("PUT", "/v1/models/fraud/aliases/prod", {"version": "1.0.0"}, status=409)
    compared = await client.json("GET", "/v1/models/fraud/compare?from=1.0.0&to=2")
    assert compared["same_artifact"] is True


@pytest.mark.parametrize(
    ("method", "path", "body", "code"),
    [
        ("GET", "/v1/models?nme=x", None, "unknown_parameter"),
        ("GET", "/v1/models?limit=0", None, "invalid_parameter"),
        ("GET", "/v1/models?limit=1&limit=2", None, "invalid_parameter"),
        ("GET", "/v1/models?metric=auc", None, "invalid_parameter"),
        ("GET", "/v1/models?name=%00", None, "invalid_parameter"),
        ("POST", "/v1/models", {"name": "fraud"}, "invalid_field"),
        ("POST", "/v1/models", {"nam": "fraud"}, "unknown_field"),
        ("POST", "/v1/models", [], "invalid_body"),
        ("POST", "/v1/approvals", {"release": 7, "justification": "x"}, "invalid_field"),
        ("GET", "/v1/approvals?status=open", None, "invalid_parameter"),
        ("POST", "/v1/models/fraud/rollback", {"stage": "nowhere"}, "invalid"),
    ],
)
async def test_malformed_requests_are_refused(
    api: Served, method: str, path: str, body: object, code: str
) -> None:
    """Each with a code for programs and a remedy for people."""
    answer = await api[1].json(method, path, body, status=400)

    assert answer["error"]["code"] == code
    assert answer["error"]["remedy"]


def _all_errors(kind: type[HeadgateError]) -> set[type[HeadgateError]]:
    return {kind}.union(*(_all_errors(each) for each in kind.__subclasses__()))


def test_every_typed_error_has_a_status_that_says_whose_fault_it_is() -> None:
    """None of them passes for a mistake of Headgate's own."""
    for kind in _all_errors(HeadgateError):
        assert 400 <= kind.status < 500 or kind.status == 503, kind


async def test_the_description_has_every_path_of_the_application(tmp_path: Path) -> None:
    """And every operation says what it does; only the agent's own line is left out."""
    async with plane_on(tmp_path / "headgate.db", FakeClock()) as plane:
        application = build_application(plane)
    described = document(application, "1")
    private = {"/v1/config", "/v1/watch", "/v1/statistics", "/v1/violations"}
    for route in application.router.routes():
        assert route.resource is not None
        path = route.resource.canonical
        if route.method != "HEAD" and path not in private:
            operation = described["paths"][path][route.method.lower()]
            assert operation["summary"].endswith("."), f"{route.method} {path}"
    assert not private & described["paths"].keys()
    names = [each["operationId"] for path in described["paths"].values() for each in path.values()]
    assert len(names) == len(set(names))


async def test_an_artifact_comes_in_pieces_and_is_stored_once(api: Served, tmp_path: Path) -> None:
    """Under its digest and no other; what is registered then is what was sent, and comes back as it was."""
    plane, client = api
    plane.controller.shelf.base = tmp_path
    content = random.Random(7).randbytes(3_000_000)
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(content), 100_000):
            yield content[start : start + 100_000]

    for _ in range(2):
        status, made = await client.send("PUT", f"/v1/artifacts/{digest}", pieces())
        assert (status, made) == (201, {"digest": digest, "size": len(content)})
    body = {"name": "fraud", "version": "1.0.0", "artifact": made}
    await client.json("POST", "/v1/models", body, status=201, headers=ALICE)
    assert await client.bytes("/v1/models/fraud/versions/1.0.0/artifact") == content
    assert _left(tmp_path) == [digest.removeprefix("sha256:")]


async def test_an_artifact_that_is_not_what_it_should_be_is_not_stored(
    api: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Changed on its way, named by no digest, too large: nothing is left of it."""
    plane, client = api
    plane.controller.shelf.base = tmp_path
    digest = f"sha256:{hashlib.sha256(b'model').hexdigest()}"

    status, answer = await client.send("PUT", f"/v1/artifacts/{digest}", b"mOdel")
    assert (status, answer["error"]["code"]) == (422, "artifact")
    assert f"{digest} was to come" in answer["error"]["message"]
    status, answer = await client.send("PUT", "/v1/artifacts/sha256:..", b"model")
    assert (status, answer["error"]["remedy"]) == (400, "write sha256: and 64 hexadecimal digits")
    monkeypatch.setattr(artifacts, "UPLOAD_BYTES_MAX", 4)
    status, answer = await client.send("PUT", f"/v1/artifacts/{digest}", b"model")
    assert (status, answer["error"]["code"]) == (413, "body_too_large")
    assert "headgate registry register" in answer["error"]["remedy"]
    assert _left(tmp_path) == []


def _left(folder: Path) -> list[str]:
    """The names of artifacts, stored or on their way."""
    return [path.name for path in (*folder.glob("upload-*"), *folder.glob("artifacts/sha256/*/*"))]
