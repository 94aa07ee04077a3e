"""Whether an approval is about a plan that has yet to come into force."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; requests so far were about the plan in force."""
    op.add_column("approvals", sa.Column("proposed", sa.Boolean(), nullable=False, server_default=sa.false()))
