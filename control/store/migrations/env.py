"""What Alembic runs: migrations on the connection it was given, in that connection's transaction."""

from alembic import context

from control.store.audit_tables import metadata

# SQLite can undo DDL, though Alembic assumes it cannot: a process killed in the middle leaves the old schema.
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
    transaction_per_migration=False,
)
context.run_migrations()
