"""The tables of deployments, experiments and of who leads."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    Index,
    Integer,
    String,
    Table,
    Text,
    text,
)

from control.store.schema import metadata


def _undertakings(name: str, label: str) -> Table:
    return Table(
        name,
        metadata,
        Column("id", String(40), primary_key=True),
        Column("route", Text, nullable=False),
        Column("status", String(20), nullable=False),
        Column(label, Text, nullable=False),
        Column("current", Boolean, nullable=False),
        Column("updated_at", Double, nullable=False),
        Column("document", Text, nullable=False),
        # A route's requests go where one of each kind says; two would contradict each other.
        Index(
            f"ix_{name}_current",
            "route",
            unique=True,
            sqlite_where=text("current"),
            postgresql_where=text("current"),
        ),
        Index(f"ix_{name}_status", "status", label, "id"),
    )


deployments = _undertakings("deployments", "environment")
experiments = _undertakings("experiments", "layer")

# One row. Every writing transaction of a leader looks whether the term is still its own.
leadership = Table(
    "leadership",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1", name="single"), primary_key=True),
    Column("term", BigInteger, nullable=False),
    Column("holder", Text, nullable=False),
    Column("since", Double, nullable=False),
)
