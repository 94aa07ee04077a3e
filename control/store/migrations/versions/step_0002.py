"""The audit log as a Merkle tree: tiles, checkpoints, tags, and personal fields apart from the events."""

import sqlalchemy as sa
from alembic import op

from control.audit.merkle import Frontier
from control.audit.tiles import WIDTH, filled, tile_of

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

_SQLITE_TRIGGERS = (
    "DROP TRIGGER audit_events_no_delete",
    """CREATE TRIGGER audit_events_no_delete BEFORE DELETE ON audit_events
       WHEN OLD.sequence > (SELECT trimmed FROM audit_head)
       BEGIN SELECT RAISE(ABORT, 'audit events are never deleted'); END""",
    """CREATE TRIGGER audit_head_trims BEFORE UPDATE ON audit_head WHEN NEW.trimmed < OLD.trimmed
       BEGIN SELECT RAISE(ABORT, 'the audit log never takes back what it trimmed'); END""",
    *(
        f"""CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table}
            BEGIN SELECT RAISE(ABORT, '{table} are never changed or deleted'); END"""
        for table in ("audit_tiles", "audit_checkpoints")
        for verb in ("UPDATE", "DELETE")
    ),
)

_POSTGRESQL_TRIGGERS = (
    "DROP TRIGGER audit_events_no_change ON audit_events",
    """CREATE TRIGGER audit_events_no_change BEFORE UPDATE ON audit_events
       FOR EACH ROW EXECUTE FUNCTION headgate_refuse()""",
    """CREATE FUNCTION headgate_refuse_untrimmed() RETURNS trigger LANGUAGE plpgsql AS
       $$ BEGIN
         IF OLD.sequence > (SELECT trimmed FROM audit_head) THEN
           RAISE EXCEPTION 'audit events are never changed or deleted';
         END IF;
         RETURN OLD;
       END $$""",
    """CREATE TRIGGER audit_events_no_delete BEFORE DELETE ON audit_events
       FOR EACH ROW EXECUTE FUNCTION headgate_refuse_untrimmed()""",
    """CREATE TRIGGER audit_head_trims BEFORE UPDATE ON audit_head
       FOR EACH ROW WHEN (NEW.trimmed < OLD.trimmed) EXECUTE FUNCTION headgate_refuse()""",
    *(
        f"""CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE ON {table}
            FOR EACH ROW EXECUTE FUNCTION headgate_refuse()"""
        for table in ("audit_tiles", "audit_checkpoints")
    ),
)


def upgrade() -> None:
    """Create the tables, move the actors of events, hash what is there."""
    _create_tables()
    _move_actors()
    _build_tree()
    triggers = _SQLITE_TRIGGERS if op.get_bind().dialect.name == "sqlite" else _POSTGRESQL_TRIGGERS
    for trigger in triggers:
        op.execute(trigger)


def _create_tables() -> None:
    binary = sa.LargeBinary()
    op.add_column("audit_head", sa.Column("frontier", binary, nullable=False, server_default=""))
    op.add_column("audit_head", sa.Column("trimmed", _SERIAL, nullable=False, server_default="0"))
    op.create_table(
        "audit_personal",
        sa.Column("sequence", _SERIAL, autoincrement=False, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("actor", sa.Text()),
        sa.Column("actor_salt", binary),
        sa.Column("origin", sa.Text()),
        sa.Column("origin_salt", binary),
        sa.PrimaryKeyConstraint("sequence", name="pk_audit_personal"),
    )
    op.create_table(
        "audit_tags",
        sa.Column("tag", sa.String(64), nullable=False),
        sa.Column("sequence", _SERIAL, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("tag", "sequence", name="pk_audit_tags"),
    )
    op.create_table(
        "audit_tiles",
        sa.Column("level", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", _SERIAL, autoincrement=False, nullable=False),
        sa.Column("root", binary, nullable=False),
        sa.Column("hashes", binary, nullable=False),
        sa.PrimaryKeyConstraint("level", "number", name="pk_audit_tiles"),
    )
    op.create_table(
        "audit_checkpoints",
        sa.Column("size", _SERIAL, autoincrement=False, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("size", name="pk_audit_checkpoints"),
    )


def _move_actors() -> None:
    op.execute(
        "INSERT INTO audit_personal (sequence, at, actor) SELECT sequence, at, actor FROM audit_events"
    )
    op.drop_index("ix_audit_events_actor", "audit_events")
    op.drop_index("ix_audit_events_at", "audit_events")
    op.drop_column("audit_events", "actor")
    op.create_index("ix_audit_events_severity", "audit_events", ["severity", "sequence"])
    op.create_index("ix_audit_events_at", "audit_events", ["at", "severity", "sequence"])
    op.create_index("ix_audit_events_type_at", "audit_events", ["type", "at", "sequence"])
    op.create_index("ix_audit_personal_actor", "audit_personal", ["actor", "sequence"])
    op.create_index("ix_audit_personal_actor_at", "audit_personal", ["actor", "at", "sequence"])


def _build_tree() -> None:
    connection, frontier = op.get_bind(), Frontier()
    page = sa.text("SELECT leaf_hash FROM audit_events WHERE sequence > :size ORDER BY sequence LIMIT 1024")
    while rows := connection.execute(page, {"size": frontier.size}).scalars().all():
        for leaf in rows:
            frontier.append(bytes(leaf))
    for level, number in filled(0, frontier.size):
        source = (
            "SELECT leaf_hash FROM audit_events WHERE sequence > :first AND sequence <= :last "
            "ORDER BY sequence"
            if level == 0
            else "SELECT root FROM audit_tiles WHERE level = :below AND number >= :first AND number < :last "
            "ORDER BY number"
        )
        span = {"first": number * WIDTH, "last": (number + 1) * WIDTH}
        below = {"below": level - 1} if level else {}
        hashes = b"".join(map(bytes, connection.execute(sa.text(source), span | below).scalars()))
        tile = tile_of((level, number), hashes)
        connection.execute(
            sa.text(
                "INSERT INTO audit_tiles (level, number, root, hashes) VALUES (:level, :number, :root, :h)"
            ),
            {"level": level, "number": number, "root": tile.root, "h": hashes},
        )
    connection.execute(
        sa.text("UPDATE audit_head SET root = :root, frontier = :frontier"),
        {"root": frontier.root(), "frontier": frontier.stored},
    )
