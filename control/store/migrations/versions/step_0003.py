"""Releases with their stages, aliases and approvals, and whose tokens are accepted."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

# Where a release stands may change, nothing else about it.
_FIXED = """id, name, version, version_key, rank, created_at, created_by, framework, description,
    artifact_digest, artifact_size, artifact_name, artifact_kind, uri, config, config_digest, endpoints,
    parents, dataset, "commit\""""
_KEPT = (
    "release_moves",
    "alias_moves",
    "release_metrics",
    "release_tags",
    "release_parents",
    "approval_votes",
    "approval_comments",
)


def upgrade() -> None:
    """Create everything."""
    _create_tables_of_releases()
    _create_tables_of_approvals()
    op.execute("INSERT INTO registry_head (id, revision) VALUES (1, 0)")
    for trigger in _sqlite_triggers() if op.get_bind().dialect.name == "sqlite" else _postgresql_triggers():
        op.execute(trigger)


def _sqlite_triggers() -> list[str]:
    refuse = "BEGIN SELECT RAISE(ABORT, 'what is registered never changes'); END"
    triggers = [
        f"CREATE TRIGGER releases_fixed BEFORE UPDATE OF {_FIXED} ON releases {refuse}",
        f"CREATE TRIGGER releases_stay BEFORE DELETE ON releases {refuse}",
    ]
    for table in _KEPT:
        triggers.append(f"CREATE TRIGGER {table}_fixed BEFORE UPDATE ON {table} {refuse}")
        triggers.append(f"CREATE TRIGGER {table}_stay BEFORE DELETE ON {table} {refuse}")
    return triggers


def _postgresql_triggers() -> list[str]:
    triggers = [
        """CREATE FUNCTION headgate_keep() RETURNS trigger LANGUAGE plpgsql AS
           $$ BEGIN RAISE EXCEPTION 'what is registered never changes'; END $$""",
        f"CREATE TRIGGER releases_fixed BEFORE UPDATE OF {_FIXED} ON releases "
        "FOR EACH ROW EXECUTE FUNCTION headgate_keep()",
        "CREATE TRIGGER releases_stay BEFORE DELETE ON releases "
        "FOR EACH ROW EXECUTE FUNCTION headgate_keep()",
    ]
    for table in _KEPT:
        triggers.append(
            f"CREATE TRIGGER {table}_fixed BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION headgate_keep()"
        )
    return triggers


def _create_tables_of_releases() -> None:
    op.create_table(
        "registry_head",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("revision", _SERIAL, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_registry_head"),
        sa.CheckConstraint("id = 1", name="ck_registry_head_single"),
    )
    op.create_table(
        "releases",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("version_key", sa.Text(), nullable=False),
        sa.Column("rank", sa.LargeBinary(), nullable=False),
        sa.Column("stage", sa.String(length=64), nullable=False),
        sa.Column("stage_since", sa.Double(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("framework", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("artifact_digest", sa.String(length=80), nullable=False),
        sa.Column("artifact_size", _SERIAL, nullable=False),
        sa.Column("artifact_name", sa.Text(), nullable=False),
        sa.Column("artifact_kind", sa.String(length=20), nullable=False),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("config", sa.Text(), nullable=False),
        sa.Column("config_digest", sa.String(length=80), nullable=False),
        sa.Column("endpoints", sa.Text(), nullable=False),
        sa.Column("parents", sa.Text(), nullable=False),
        sa.Column("dataset", sa.Text(), nullable=False),
        sa.Column("commit", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_releases"),
        sa.UniqueConstraint("name", "version_key", name="uq_releases_version"),
    )
    op.create_index("ix_releases_artifact_digest", "releases", ["artifact_digest"], unique=False)
    op.create_index("ix_releases_rank", "releases", ["name", "rank", "id"], unique=False)
    op.create_index("ix_releases_stage", "releases", ["stage", "name"], unique=False)
    op.create_table(
        "release_metrics",
        sa.Column("release_id", sa.String(length=40), nullable=False),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["release_id"], ["releases.id"], name="fk_release_metrics_release_id"),
        sa.PrimaryKeyConstraint("release_id", "metric", name="pk_release_metrics"),
    )
    op.create_index("ix_release_metrics_metric", "release_metrics", ["metric", "value"], unique=False)
    op.create_table(
        "release_tags",
        sa.Column("release_id", sa.String(length=40), nullable=False),
        sa.Column("tag", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["release_id"], ["releases.id"], name="fk_release_tags_release_id"),
        sa.PrimaryKeyConstraint("release_id", "tag", name="pk_release_tags"),
    )
    op.create_index("ix_release_tags_tag", "release_tags", ["tag", "value"], unique=False)
    op.create_table(
        "release_parents",
        sa.Column("release_id", sa.String(length=40), nullable=False),
        sa.Column("parent_id", sa.String(length=40), nullable=False),
        sa.ForeignKeyConstraint(["parent_id"], ["releases.id"], name="fk_release_parents_parent_id"),
        sa.ForeignKeyConstraint(["release_id"], ["releases.id"], name="fk_release_parents_release_id"),
        sa.PrimaryKeyConstraint("release_id", "parent_id", name="pk_release_parents"),
    )
    op.create_index("ix_release_parents_parent_id", "release_parents", ["parent_id"], unique=False)
    op.create_table(
        "release_moves",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("release_id", sa.String(length=40), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.String(length=20), nullable=False),
        sa.Column("from_stage", sa.String(length=64), nullable=False),
        sa.Column("to_stage", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("approval_id", sa.String(length=40), nullable=False),
        sa.ForeignKeyConstraint(["release_id"], ["releases.id"], name="fk_release_moves_release_id"),
        sa.PrimaryKeyConstraint("id", name="pk_release_moves"),
    )
    op.create_index("ix_release_moves_release", "release_moves", ["release_id", "id"], unique=False)
    op.create_table(
        "stage_holders",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("stage", sa.String(length=64), nullable=False),
        sa.Column("release_id", sa.String(length=40), nullable=True),
        sa.Column("previous_id", sa.String(length=40), nullable=True),
        sa.Column("since", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["previous_id"], ["releases.id"], name="fk_stage_holders_previous_id"),
        sa.ForeignKeyConstraint(["release_id"], ["releases.id"], name="fk_stage_holders_release_id"),
        sa.PrimaryKeyConstraint("name", "stage", name="pk_stage_holders"),
    )
    op.create_table(
        "aliases",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("alias", sa.String(length=64), nullable=False),
        sa.Column("release_id", sa.String(length=40), nullable=False),
        sa.Column("previous_id", sa.String(length=40), nullable=True),
        sa.Column("moved_at", sa.Double(), nullable=False),
        sa.Column("moved_by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["previous_id"], ["releases.id"], name="fk_aliases_previous_id"),
        sa.ForeignKeyConstraint(["release_id"], ["releases.id"], name="fk_aliases_release_id"),
        sa.PrimaryKeyConstraint("name", "alias", name="pk_aliases"),
    )
    op.create_index("ix_aliases_release_id", "aliases", ["release_id"], unique=False)
    op.create_table(
        "alias_moves",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("alias", sa.String(length=64), nullable=False),
        sa.Column("from_id", sa.String(length=40), nullable=True),
        sa.Column("to_id", sa.String(length=40), nullable=True),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_alias_moves"),
    )
    op.create_index("ix_alias_moves_alias", "alias_moves", ["name", "alias", "id"], unique=False)


def _create_tables_of_approvals() -> None:
    op.create_table(
        "approvals",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("release_id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("stage", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("open", sa.Boolean(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("quorum", sa.Integer(), nullable=False),
        sa.Column("reviewers", sa.Text(), nullable=False),
        sa.Column("release_digest", sa.String(length=80), nullable=False),
        sa.Column("plan_digest", sa.String(length=80), nullable=False),
        sa.Column("plan", sa.Text(), nullable=False),
        sa.Column("justification", sa.Text(), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("requested_at", sa.Double(), nullable=False),
        sa.Column("lasts", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.Column("closed_at", sa.Double(), nullable=True),
        sa.Column("closed_by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("applied_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["release_id"], ["releases.id"], name="fk_approvals_release_id"),
        sa.PrimaryKeyConstraint("id", name="pk_approvals"),
    )
    op.create_index("ix_approvals_name", "approvals", ["name", "id"], unique=False)
    op.create_index(
        "ix_approvals_open",
        "approvals",
        ["release_id", "stage"],
        unique=True,
        sqlite_where=sa.text("open"),
        postgresql_where=sa.text("open"),
    )
    op.create_index("ix_approvals_state", "approvals", ["state", "id"], unique=False)
    op.create_table(
        "approval_votes",
        sa.Column("approval_id", sa.String(length=40), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("reviewer", sa.Text(), nullable=False),
        sa.Column("approves", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["approval_id"], ["approvals.id"], name="fk_approval_votes_approval_id"),
        sa.PrimaryKeyConstraint("approval_id", "round", "reviewer", name="pk_approval_votes"),
    )
    op.create_table(
        "approval_comments",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("approval_id", sa.String(length=40), nullable=False),
        sa.Column("reply_to", sa.String(length=40), nullable=True),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["approval_id"], ["approvals.id"], name="fk_approval_comments_approval_id"),
        sa.ForeignKeyConstraint(["reply_to"], ["approval_comments.id"], name="fk_approval_comments_reply_to"),
        sa.PrimaryKeyConstraint("id", name="pk_approval_comments"),
    )
    op.create_index("ix_approval_comments_approval", "approval_comments", ["approval_id", "id"], unique=False)
    op.create_table(
        "break_glass",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("release_id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("stage", sa.String(length=64), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("reviewed_at", sa.Double(), nullable=True),
        sa.Column("reviewed_by", sa.Text(), nullable=False),
        sa.Column("finding", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["release_id"], ["releases.id"], name="fk_break_glass_release_id"),
        sa.PrimaryKeyConstraint("id", name="pk_break_glass"),
    )
    op.create_index("ix_break_glass_release", "break_glass", ["release_id", "stage"], unique=False)
    op.create_index("ix_break_glass_reviewed_at", "break_glass", ["reviewed_at"], unique=False)
    op.create_table(
        "access",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.String(length=20), nullable=False),
        sa.Column("fingerprint", sa.String(length=80), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_access"),
    )
