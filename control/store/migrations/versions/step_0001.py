"""Configurations, tables, rollouts, decisions, quarantine, statistics and the audit log."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

_SQLITE_TRIGGERS = (
    """CREATE TRIGGER audit_events_no_update BEFORE UPDATE ON audit_events
       BEGIN SELECT RAISE(ABORT, 'audit events are never changed'); END""",
    """CREATE TRIGGER audit_events_no_delete BEFORE DELETE ON audit_events
       BEGIN SELECT RAISE(ABORT, 'audit events are never deleted'); END""",
    # INSERT OR REPLACE deletes the row in its way, without asking a trigger on most connections.
    """CREATE TRIGGER audit_events_no_replace BEFORE INSERT ON audit_events
       WHEN EXISTS (SELECT 1 FROM audit_events WHERE sequence = NEW.sequence OR id = NEW.id)
       BEGIN SELECT RAISE(ABORT, 'audit events are never replaced'); END""",
    """CREATE TRIGGER audit_head_grows BEFORE UPDATE ON audit_head WHEN NEW.size < OLD.size
       BEGIN SELECT RAISE(ABORT, 'the audit log never shrinks'); END""",
    """CREATE TRIGGER audit_head_stays BEFORE DELETE ON audit_head
       BEGIN SELECT RAISE(ABORT, 'the audit log never shrinks'); END""",
)

_POSTGRESQL_TRIGGERS = (
    """CREATE FUNCTION headgate_refuse() RETURNS trigger LANGUAGE plpgsql AS
       $$ BEGIN RAISE EXCEPTION 'audit events are never changed or deleted'; END $$""",
    """CREATE TRIGGER audit_events_no_change BEFORE UPDATE OR DELETE ON audit_events
       FOR EACH ROW EXECUTE FUNCTION headgate_refuse()""",
    """CREATE TRIGGER audit_events_no_truncate BEFORE TRUNCATE ON audit_events
       FOR EACH STATEMENT EXECUTE FUNCTION headgate_refuse()""",
    """CREATE TRIGGER audit_head_grows BEFORE UPDATE ON audit_head
       FOR EACH ROW WHEN (NEW.size < OLD.size) EXECUTE FUNCTION headgate_refuse()""",
    """CREATE TRIGGER audit_head_stays BEFORE DELETE ON audit_head
       FOR EACH ROW EXECUTE FUNCTION headgate_refuse()""",
)


def upgrade() -> None:
    """Create everything."""
    _create_tables_of_configuration()
    _create_tables_of_rollouts()
    _create_tables_of_statistics()
    _create_tables_of_audit()


def _create_tables_of_configuration() -> None:
    op.create_table(
        "configurations",
        sa.Column("sequence", _SERIAL, autoincrement=True, nullable=False),
        sa.Column("digest", sa.String(80), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("accepted_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name="pk_configurations"),
    )
    op.create_table(
        "tables",
        sa.Column("revision", _SERIAL, autoincrement=False, nullable=False),
        sa.Column("config_digest", sa.String(80), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("published_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("revision", name="pk_tables"),
    )


def _create_tables_of_rollouts() -> None:
    op.create_table(
        "rollouts",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("identity", sa.String(80), nullable=False),
        sa.Column("subject", sa.String(80), nullable=False),
        sa.Column("current", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("release", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.Column("config_digest", sa.String(80), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("plan", sa.Text(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("evidence_from", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_rollouts"),
    )
    current = sa.text("current")
    op.create_index(
        "ix_rollouts_current",
        "rollouts",
        ["route"],
        unique=True,
        sqlite_where=current,
        postgresql_where=current,
    )
    op.create_index("ix_rollouts_identity", "rollouts", ["route", "identity"])
    op.create_table(
        "decisions",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("rollout_id", sa.String(40), nullable=False),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("revision", _SERIAL, nullable=False),
        sa.Column("config_digest", sa.String(80), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_decisions"),
        sa.ForeignKeyConstraint(["rollout_id"], ["rollouts.id"], name="fk_decisions_rollout_id"),
    )
    op.create_index("ix_decisions_rollout", "decisions", ["rollout_id", "id"])
    op.create_table(
        "quarantine",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("subject", sa.String(80), nullable=False),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("variant", sa.Text(), nullable=False),
        sa.Column("release", sa.Text(), nullable=False),
        sa.Column("rollout_id", sa.String(40), nullable=False),
        sa.Column("decision_id", sa.String(40), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("since", sa.Double(), nullable=False),
        sa.Column("lifted_at", sa.Double()),
        sa.Column("lifted_by", sa.Text()),
        sa.Column("lifted_reason", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_quarantine"),
        sa.ForeignKeyConstraint(["rollout_id"], ["rollouts.id"], name="fk_quarantine_rollout_id"),
        sa.ForeignKeyConstraint(["decision_id"], ["decisions.id"], name="fk_quarantine_decision_id"),
    )
    in_force = sa.text("lifted_at IS NULL")
    op.create_index(
        "ix_quarantine_subject",
        "quarantine",
        ["subject"],
        unique=True,
        sqlite_where=in_force,
        postgresql_where=in_force,
    )


def _create_tables_of_statistics() -> None:
    op.create_table(
        "statistics",
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("boot", sa.Text(), nullable=False),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("variant", sa.Text(), nullable=False),
        sa.Column("role", sa.String(20), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("node", "boot", "route", "variant", "role", "stage", name="pk_statistics"),
    )
    op.create_table(
        "ended_boots",
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("boot", sa.Text(), nullable=False),
        sa.Column("ended_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("node", "boot", name="pk_ended_boots"),
    )


def _create_tables_of_audit() -> None:
    op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("size", _SERIAL, nullable=False),
        sa.Column("root", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("id", name="pk_audit_head"),
        sa.CheckConstraint("id = 1", name="ck_audit_head_single"),
    )
    op.create_table(
        "audit_events",
        sa.Column("sequence", _SERIAL, autoincrement=False, nullable=False),
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("type", sa.String(60), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("severity", sa.String(10), nullable=False),
        sa.Column("resource_type", sa.String(40), nullable=False),
        sa.Column("resource_id", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("leaf_hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name="pk_audit_events"),
        sa.UniqueConstraint("id", name="uq_audit_events_id"),
    )
    op.create_index("ix_audit_events_type", "audit_events", ["type", "sequence"])
    op.create_index("ix_audit_events_actor", "audit_events", ["actor", "sequence"])
    op.create_index("ix_audit_events_resource", "audit_events", ["resource_type", "resource_id", "sequence"])
    op.create_index("ix_audit_events_at", "audit_events", ["at"])
    op.execute("INSERT INTO audit_head (id, size) VALUES (1, 0)")
    triggers = _SQLITE_TRIGGERS if op.get_bind().dialect.name == "sqlite" else _POSTGRESQL_TRIGGERS
    for trigger in triggers:
        op.execute(trigger)
