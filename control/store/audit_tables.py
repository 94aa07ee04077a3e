"""The tables of the audit log, as SQLAlchemy sees them; the migrations create them."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
)

from control.store.schema import metadata

__all__ = [
    "audit_checkpoints",
    "audit_events",
    "audit_head",
    "audit_personal",
    "audit_tags",
    "audit_tiles",
    "metadata",
]

# SQLite gives a 64-bit rowid only to a column declared INTEGER.
_Serial = BigInteger().with_variant(Integer(), "sqlite")

# One row: the size of the log. Taking the next sequence number from it, inside the writing transaction,
# makes numbers gapless on every database.
audit_head = Table(
    "audit_head",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1", name="single"), primary_key=True),
    Column("size", _Serial, nullable=False),
    Column("root", LargeBinary),
    # Roots of the perfect subtrees the tree consists of: what appending needs.
    Column("frontier", LargeBinary, nullable=False, server_default=""),
    # Events up to this number were removed by retention; their leaf hashes are in the tiles.
    Column("trimmed", _Serial, nullable=False, server_default="0"),
)

audit_events = Table(
    "audit_events",
    metadata,
    Column("sequence", _Serial, primary_key=True, autoincrement=False),
    Column("id", String(40), nullable=False, unique=True),
    Column("type", String(60), nullable=False),
    Column("at", Double, nullable=False),
    Column("severity", String(10), nullable=False),
    Column("resource_type", String(40), nullable=False),
    Column("resource_id", Text, nullable=False),
    # What was written is the canonical JSON, byte for byte; every other column is an index into it.
    Column("body", LargeBinary, nullable=False),
    Column("leaf_hash", LargeBinary, nullable=False),
    Index("ix_audit_events_type", "type", "sequence"),
    Index("ix_audit_events_resource", "resource_type", "resource_id", "sequence"),
    Index("ix_audit_events_severity", "severity", "sequence"),
    # These hold all that a search within a time needs, so that it never visits a row outside of it.
    Index("ix_audit_events_at", "at", "severity", "sequence"),
    Index("ix_audit_events_type_at", "type", "at", "sequence"),
)

# Who, and from where: the tree knows only a salted hash, so that salt and value can be erased.
audit_personal = Table(
    "audit_personal",
    metadata,
    Column("sequence", _Serial, primary_key=True, autoincrement=False),
    Column("at", Double, nullable=False),
    Column("actor", Text),
    Column("actor_salt", LargeBinary),
    Column("origin", Text),
    Column("origin_salt", LargeBinary),
    Index("ix_audit_personal_actor", "actor", "sequence"),
    Index("ix_audit_personal_actor_at", "actor", "at", "sequence"),
)

audit_tags = Table(
    "audit_tags",
    metadata,
    Column("tag", String(64), primary_key=True),
    Column("sequence", _Serial, primary_key=True, autoincrement=False),
)

# 256 hashes a row: level 0 holds leaf hashes, level 1 the roots of full tiles of level 0, and so on.
audit_tiles = Table(
    "audit_tiles",
    metadata,
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("number", _Serial, primary_key=True, autoincrement=False),
    Column("root", LargeBinary, nullable=False),
    Column("hashes", LargeBinary, nullable=False),
)

audit_checkpoints = Table(
    "audit_checkpoints",
    metadata,
    Column("size", _Serial, primary_key=True, autoincrement=False),
    Column("at", Double, nullable=False),
    Column("note", Text, nullable=False),
)
