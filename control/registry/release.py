"""A registered version of a model, as a value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from control.audit.canonical import digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """Stored bytes: `digest` is ``sha256:<hex>``, `size` in bytes, `name` what the file was called.

    A directory is kept as a tar archive of it (`kind` ``directory``).
    """

    digest: str
    size: int
    name: str = ""
    kind: str = "file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What is said about a release when it is registered; none of it changes afterwards."""

    name: str
    version: str
    artifact: Artifact
    framework: str = ""
    description: str = ""
    uri: str = ""
    """Where the artifact came from, for people."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    endpoints: Sequence[str] = ()
    parents: Sequence[str] = ()
    """Releases this one was made from, each ``NAME:VERSION``."""
    dataset: str = ""
    commit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A release as it is registered; times in Unix seconds. Everything but `stage` is fixed for ever."""

    id: str
    name: str
    version: str
    version_key: str
    rank: bytes
    stage: str
    stage_since: float
    created_at: float
    created_by: str
    framework: str
    description: str
    artifact_digest: str
    artifact_size: int
    artifact_name: str
    artifact_kind: str
    uri: str
    config: Mapping[str, Any]
    config_digest: str
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    endpoints: tuple[str, ...]
    parents: tuple[str, ...]
    dataset: str
    commit: str

    @property
    def label(self) -> str:
        """``NAME:VERSION``, as upstreams name it."""
        return f"{self.name}:{self.version}"

    @property
    def artifact(self) -> Artifact:
        return Artifact(
            digest=self.artifact_digest,
            size=self.artifact_size,
            name=self.artifact_name,
            kind=self.artifact_kind,
        )

    @property
    def digest(self) -> str:
        """What an approval of it is bound to: the artifact and the configuration."""
        return digest({"artifact": self.artifact_digest, "config": self.config_digest})

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; times as RFC 3339 in UTC."""
        return {
            "id": self.id,
            "name": self.name,
            "version": self.version,
            "stage": self.stage,
            "stage_since": rfc3339(self.stage_since),
            "created_at": rfc3339(self.created_at),
            "created_by": self.created_by,
            "framework": self.framework,
            "description": self.description,
            "artifact": {
                "digest": self.artifact_digest,
                "size": self.artifact_size,
                "name": self.artifact_name,
                "kind": self.artifact_kind,
                "uri": self.uri,
            },
            "config": dict(self.config),
            "config_digest": self.config_digest,
            "digest": self.digest,
            "metrics": dict(self.metrics),
            "tags": dict(self.tags),
            "endpoints": list(self.endpoints),
            "lineage": {"parents": list(self.parents), "dataset": self.dataset, "commit": self.commit},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A release's step from one stage to another; the first has no `from_stage`."""

    id: str
    release_id: str
    at: float
    actor: str
    action: str
    from_stage: str
    to_stage: str
    reason: str
    approval_id: str

    def to_json(self) -> dict[str, Any]:
        return {
            "at": rfc3339(self.at),
            "actor": self.actor,
            "action": self.action,
            "from": self.from_stage,
            "to": self.to_stage,
            "reason": self.reason,
            "approval": self.approval_id or None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias:
    """A name that stands for one release at a time; `previous_id` is what it stood for before."""

    name: str
    alias: str
    release_id: str
    previous_id: str | None
    moved_at: float
    moved_by: str


def rfc3339(at: float) -> str:
    """Unix seconds as people read them, in UTC with microseconds."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
