"""The tables, as SQLAlchemy sees them; the migrations create them."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    text,
)

metadata: Final = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

# SQLite gives a 64-bit rowid only to a column declared INTEGER.
_Serial = BigInteger().with_variant(Integer(), "sqlite")

configurations = Table(
    "configurations",
    metadata,
    Column("sequence", _Serial, primary_key=True, autoincrement=True),
    Column("digest", String(80), nullable=False),
    Column("source", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("accepted_at", Double, nullable=False),
)

tables = Table(
    "tables",
    metadata,
    # Chosen by us, never by the database: a revision may have to jump over what a proxy has already seen.
    Column("revision", _Serial, primary_key=True, autoincrement=False),
    Column("config_digest", String(80), nullable=False),
    Column("body", Text, nullable=False),
    Column("published_at", Double, nullable=False),
)

rollouts = Table(
    "rollouts",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("route", Text, nullable=False),
    Column("identity", String(80), nullable=False),
    Column("subject", String(80), nullable=False),
    Column("current", Boolean, nullable=False),
    Column("state", String(20), nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("stage", Text, nullable=False),
    Column("release", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    Column("config_digest", String(80), nullable=False),
    Column("document", Text, nullable=False),
    Column("plan", Text, nullable=False),
    Column("evidence", Text, nullable=False),
    # Counts of earlier stages are no part of the evidence: it was begun anew since.
    Column("evidence_from", Integer, nullable=False),
    # A route has one rollout in charge; two would publish two weights.
    Index(
        "ix_rollouts_current",
        "route",
        unique=True,
        sqlite_where=text("current"),
        postgresql_where=text("current"),
    ),
    Index("ix_rollouts_identity", "route", "identity"),
)

decisions = Table(
    "decisions",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("rollout_id", String(40), ForeignKey("rollouts.id"), nullable=False),
    Column("route", Text, nullable=False),
    Column("kind", String(20), nullable=False),
    Column("at", Double, nullable=False),
    Column("actor", Text, nullable=False),
    Column("revision", _Serial, nullable=False),
    Column("config_digest", String(80), nullable=False),
    Column("body", Text, nullable=False),
    Index("ix_decisions_rollout", "rollout_id", "id"),
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("subject", String(80), nullable=False),
    Column("route", Text, nullable=False),
    Column("variant", Text, nullable=False),
    Column("release", Text, nullable=False),
    # Either a rollout's decision has condemned it, or a deployment that has no rollout.
    Column("rollout_id", String(40), ForeignKey("rollouts.id")),
    Column("decision_id", String(40), ForeignKey("decisions.id")),
    Column("deployment_id", String(40), ForeignKey("deployments.id")),
    Column("reason", Text, nullable=False),
    Column("since", Double, nullable=False),
    Column("lifted_at", Double),
    Column("lifted_by", Text),
    Column("lifted_reason", Text),
    Index(
        "ix_quarantine_subject",
        "subject",
        unique=True,
        sqlite_where=text("lifted_at IS NULL"),
        postgresql_where=text("lifted_at IS NULL"),
    ),
)

statistics = Table(
    "statistics",
    metadata,
    # The sum of boots that have ended is kept under an empty node and boot.
    Column("node", Text, primary_key=True),
    Column("boot", Text, primary_key=True),
    Column("route", Text, primary_key=True),
    Column("variant", Text, primary_key=True),
    Column("role", String(20), primary_key=True),
    Column("stage", Text, primary_key=True),
    Column("updated_at", Double, nullable=False),
    Column("body", Text, nullable=False),
)

ended_boots = Table(
    "ended_boots",
    metadata,
    Column("node", Text, primary_key=True),
    Column("boot", Text, primary_key=True),
    Column("ended_at", Double, nullable=False),
)
