"""Rates over time, the pages behind a misbehaviour, canaries, and whose store it is."""

import sqlalchemy as sql
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("flywheel_promotions", sql.Column("share", sql.Double, nullable=False, server_default="1"))
    op.create_table(
        "flywheel_measurements",
        sql.Column("id", sql.Text, nullable=False),
        sql.Column("made", sql.DateTime(timezone=True), nullable=False),
        sql.Column("checkpoint_id", sql.Text, nullable=False),
        sql.Column("group", sql.Text, nullable=False),
        sql.Column("name", sql.Text, nullable=False),
        sql.Column("cases", sql.Integer, nullable=False),
        sql.Column("bad", sql.Integer, nullable=False),
        sql.PrimaryKeyConstraint("id", name="pk_flywheel_measurements"),
    )
    op.create_index("ix_flywheel_measurements_made", "flywheel_measurements", ["made"])
    op.create_index("ix_flywheel_measurements_checkpoint_id", "flywheel_measurements", ["checkpoint_id"])
    op.create_table(
        "flywheel_traced_pages",
        sql.Column("id", sql.Text, nullable=False),
        sql.Column("cluster", sql.Text, nullable=False),
        sql.Column("misbehaviour", sql.Text, nullable=False),
        sql.Column("found", sql.DateTime(timezone=True), nullable=False),
        sql.Column("corpus", sql.Text, nullable=False),
        sql.Column("fingerprint", sql.Text, nullable=False),
        sql.Column("document", sql.Text, nullable=False),
        sql.Column("url", sql.Text, nullable=False),
        sql.Column("place", sql.JSON, nullable=False),
        sql.Column("kind", sql.Text, nullable=False),
        sql.Column("score", sql.Double, nullable=False),
        sql.Column("text", sql.Text, nullable=False),
        sql.Column("sample", sql.Text),
        sql.Column("decision", sql.Text),
        sql.Column("decided", sql.DateTime(timezone=True)),
        sql.ForeignKeyConstraint(["cluster"], ["flywheel_clusters.id"], name="fk_flywheel_traced_pages_cluster"),
        sql.ForeignKeyConstraint(
            ["misbehaviour"], ["flywheel_misbehaviours.id"], name="fk_flywheel_traced_pages_misbehaviour"
        ),
        sql.PrimaryKeyConstraint("id", name="pk_flywheel_traced_pages"),
    )
    op.create_index("ix_flywheel_traced_pages_cluster", "flywheel_traced_pages", ["cluster"])
    op.create_index("ix_flywheel_traced_pages_document", "flywheel_traced_pages", ["document"])
    op.create_table(
        "flywheel_loop",
        sql.Column("id", sql.Text, nullable=False),
        sql.Column("made", sql.DateTime(timezone=True), nullable=False),
        sql.PrimaryKeyConstraint("id", name="pk_flywheel_loop"),
    )
