"""Deployments, experiments, and which control process leads."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create everything."""
    for name, label in (("deployments", "environment"), ("experiments", "layer")):
        op.create_table(
            name,
            sa.Column("id", sa.String(40), nullable=False),
            sa.Column("route", sa.Text(), nullable=False),
            sa.Column("status", sa.String(20), nullable=False),
            sa.Column(label, sa.Text(), nullable=False),
            sa.Column("current", sa.Boolean(), nullable=False),
            sa.Column("updated_at", sa.Double(), nullable=False),
            sa.Column("document", sa.Text(), nullable=False),
            sa.PrimaryKeyConstraint("id", name=f"pk_{name}"),
        )
        current = sa.text("current")
        op.create_index(
            f"ix_{name}_current",
            name,
            ["route"],
            unique=True,
            sqlite_where=current,
            postgresql_where=current,
        )
        op.create_index(f"ix_{name}_status", name, ["status", label, "id"])
    op.create_table(
        "leadership",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("term", sa.BigInteger(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("since", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_leadership"),
        sa.CheckConstraint("id = 1", name="ck_leadership_single"),
    )
    op.execute("INSERT INTO leadership (id, term, holder, since) VALUES (1, 0, '', 0)")
