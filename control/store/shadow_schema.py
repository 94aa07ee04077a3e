"""The table of what shadows have counted."""

from sqlalchemy import Column, Double, String, Table, Text

from control.store.schema import metadata

shadow_statistics = Table(
    "shadow_statistics",
    metadata,
    # The sum of boots that have ended is kept under an empty node and boot.
    Column("node", Text, primary_key=True),
    Column("boot", Text, primary_key=True),
    Column("route", Text, primary_key=True),
    Column("shadow", Text, primary_key=True),
    Column("role", String(20), primary_key=True),
    Column("stage", Text, primary_key=True),
    Column("updated_at", Double, nullable=False),
    Column("body", Text, nullable=False),
)
