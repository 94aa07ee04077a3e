"""The registry's tables: releases, where they stand, aliases, and the requests to approve them."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from control.store.schema import metadata

# One row. Every writer takes it first, so writers form a queue on every database; readers see by it that
# something has changed.
registry_head = Table(
    "registry_head",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1", name="single"), primary_key=True),
    Column("revision", BigInteger().with_variant(Integer(), "sqlite"), nullable=False),
)

releases = Table(
    "releases",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("name", Text, nullable=False),
    Column("version", Text, nullable=False),
    # Equal versions, such as v1.0.0 and 1.0.0, have one key.
    Column("version_key", Text, nullable=False),
    # Bytes: a database would sort text by the rules of some language.
    Column("rank", LargeBinary, nullable=False),
    Column("stage", String(64), nullable=False),
    Column("stage_since", Double, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("framework", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("artifact_digest", String(80), nullable=False),
    Column("artifact_size", BigInteger().with_variant(Integer(), "sqlite"), nullable=False),
    Column("artifact_name", Text, nullable=False),
    Column("artifact_kind", String(20), nullable=False),
    Column("uri", Text, nullable=False),
    Column("config", Text, nullable=False),
    Column("config_digest", String(80), nullable=False),
    Column("endpoints", Text, nullable=False),
    Column("parents", Text, nullable=False),
    Column("dataset", Text, nullable=False),
    Column("commit", Text, nullable=False),
    UniqueConstraint("name", "version_key", name="uq_releases_version"),
    Index("ix_releases_rank", "name", "rank", "id"),
    Index("ix_releases_stage", "stage", "name"),
    Index("ix_releases_artifact_digest", "artifact_digest"),
)

release_metrics = Table(
    "release_metrics",
    metadata,
    Column("release_id", String(40), ForeignKey("releases.id"), primary_key=True),
    Column("metric", Text, primary_key=True),
    Column("value", Double, nullable=False),
    Index("ix_release_metrics_metric", "metric", "value"),
)

release_tags = Table(
    "release_tags",
    metadata,
    Column("release_id", String(40), ForeignKey("releases.id"), primary_key=True),
    Column("tag", Text, primary_key=True),
    Column("value", Text, nullable=False),
    Index("ix_release_tags_tag", "tag", "value"),
)

release_parents = Table(
    "release_parents",
    metadata,
    Column("release_id", String(40), ForeignKey("releases.id"), primary_key=True),
    Column("parent_id", String(40), ForeignKey("releases.id"), primary_key=True),
    Index("ix_release_parents_parent_id", "parent_id"),
)

# Stages that hold one release of a model: the primary key is what makes it one.
stage_holders = Table(
    "stage_holders",
    metadata,
    Column("name", Text, primary_key=True),
    Column("stage", String(64), primary_key=True),
    Column("release_id", String(40), ForeignKey("releases.id")),
    Column("previous_id", String(40), ForeignKey("releases.id")),
    Column("since", Double, nullable=False),
)

release_moves = Table(
    "release_moves",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("release_id", String(40), ForeignKey("releases.id"), nullable=False),
    Column("at", Double, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", String(20), nullable=False),
    Column("from_stage", String(64), nullable=False),
    Column("to_stage", String(64), nullable=False),
    Column("reason", Text, nullable=False),
    Column("approval_id", String(40), nullable=False),
    Index("ix_release_moves_release", "release_id", "id"),
)

aliases = Table(
    "aliases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("alias", String(64), primary_key=True),
    Column("release_id", String(40), ForeignKey("releases.id"), nullable=False),
    Column("previous_id", String(40), ForeignKey("releases.id")),
    Column("moved_at", Double, nullable=False),
    Column("moved_by", Text, nullable=False),
    Index("ix_aliases_release_id", "release_id"),
)

alias_moves = Table(
    "alias_moves",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("name", Text, nullable=False),
    Column("alias", String(64), nullable=False),
    Column("from_id", String(40)),
    Column("to_id", String(40)),
    Column("at", Double, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Index("ix_alias_moves_alias", "name", "alias", "id"),
)

approvals = Table(
    "approvals",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("release_id", String(40), ForeignKey("releases.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("stage", String(64), nullable=False),
    Column("state", String(20), nullable=False),
    # One that still matters; of these a release has one for a stage.
    Column("open", Boolean, nullable=False),
    # Votes of an earlier round were about something else and count no more.
    Column("round", Integer, nullable=False),
    Column("quorum", Integer, nullable=False),
    Column("reviewers", Text, nullable=False),
    Column("release_digest", String(80), nullable=False),
    Column("plan_digest", String(80), nullable=False),
    Column("plan", Text, nullable=False),
    # Whether the plan is that of a configuration which has yet to come into force.
    Column("proposed", Boolean, nullable=False),
    Column("justification", Text, nullable=False),
    Column("requested_by", Text, nullable=False),
    Column("requested_at", Double, nullable=False),
    Column("lasts", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("closed_at", Double),
    Column("closed_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("applied_at", Double),
    Index(
        "ix_approvals_open",
        "release_id",
        "stage",
        unique=True,
        sqlite_where=text("open"),
        postgresql_where=text("open"),
    ),
    Index("ix_approvals_state", "state", "id"),
    Index("ix_approvals_name", "name", "id"),
)

approval_votes = Table(
    "approval_votes",
    metadata,
    Column("approval_id", String(40), ForeignKey("approvals.id"), primary_key=True),
    Column("round", Integer, primary_key=True),
    Column("reviewer", Text, primary_key=True),
    Column("approves", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", Double, nullable=False),
)

approval_comments = Table(
    "approval_comments",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("approval_id", String(40), ForeignKey("approvals.id"), nullable=False),
    Column("reply_to", String(40), ForeignKey("approval_comments.id")),
    Column("author", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("at", Double, nullable=False),
    Index("ix_approval_comments_approval", "approval_id", "id"),
)

# A release let in without approval. The row is the task to look at it afterwards.
break_glass = Table(
    "break_glass",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("release_id", String(40), ForeignKey("releases.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("stage", String(64), nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("reviewed_at", Double),
    Column("reviewed_by", Text, nullable=False),
    Column("finding", Text, nullable=False),
    Index("ix_break_glass_release", "release_id", "stage"),
    Index("ix_break_glass_reviewed_at", "reviewed_at"),
)

# Whose tokens the configuration in force accepts; `fingerprint` is a digest of the token's digest.
access = Table(
    "access",
    metadata,
    Column("name", Text, primary_key=True),
    Column("role", String(20), nullable=False),
    Column("fingerprint", String(80), nullable=False),
)
