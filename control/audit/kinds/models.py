"""Events of the registry; the resource is a model version, written ``name:version``."""

from dataclasses import dataclass, field

from control.audit.events import AuditEvent, Severity


@dataclass(frozen=True, kw_only=True)
class _ModelEvent(AuditEvent, abstract=True):
    """What every event about a model version has in common."""

    resource_type = "model"

    model: str
    version: str
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class ModelRegistered(_ModelEvent):
    """A version entered the registry with the digests of its artifact and its configuration."""

    name = "model_registered"
    action = "register"

    stage: str = "development"
    artifact_digest: str = ""
    artifact_bytes: int = 0
    model_config_digest: str = ""


@dataclass(frozen=True, kw_only=True)
class ModelPromoted(_ModelEvent):
    """A version moved up a stage; `approval` is the request that allowed it, empty when none was needed."""

    name = "model_promoted"
    severity = Severity.WARNING
    action = "promote"

    from_stage: str
    to_stage: str
    approval: str = ""
    approved_by: list[str] = field(default_factory=list)
    requested_by: str = ""
    replaced: str = ""


@dataclass(frozen=True, kw_only=True)
class ModelDeployed(_ModelEvent):
    """A version began to take requests of a route."""

    name = "model_deployed"
    severity = Severity.WARNING
    action = "deploy"

    route: str = ""
    deployment: str = ""
    strategy: str = ""
    approval: str = ""
    approved_by: list[str] = field(default_factory=list)
    requested_by: str = ""


@dataclass(frozen=True, kw_only=True)
class ModelRolledBack(_ModelEvent):
    """A version stopped taking requests, and the one before it took over."""

    name = "model_rolled_back"
    severity = Severity.ERROR
    action = "roll_back"

    route: str = ""
    replaced_by: str = ""


@dataclass(frozen=True, kw_only=True)
class ModelArchived(_ModelEvent):
    """A version was retired: it stays on record and can no longer be deployed."""

    name = "model_archived"
    action = "archive"

    from_stage: str = ""


@dataclass(frozen=True, kw_only=True)
class AliasMoved(AuditEvent):
    """An alias now names another version; the resource is ``model@alias``."""

    name = "alias_moved"
    severity = Severity.WARNING
    resource_type = "alias"
    action = "move"

    model: str
    alias: str
    before: str
    after: str
    reason: str = ""
