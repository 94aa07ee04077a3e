"""What condemns a release may be a deployment that has no rollout."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let a quarantine name a deployment in the place of a rollout and its decision."""
    # SQLite changes no column in place: the table is written anew, in the same transaction.
    with op.batch_alter_table("quarantine") as quarantine:
        quarantine.alter_column("rollout_id", existing_type=sa.String(40), nullable=True)
        quarantine.alter_column("decision_id", existing_type=sa.String(40), nullable=True)
        quarantine.add_column(sa.Column("deployment_id", sa.String(40)))
        quarantine.create_foreign_key("fk_quarantine_deployment_id", "deployments", ["deployment_id"], ["id"])
