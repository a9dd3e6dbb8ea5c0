"""The first tables: what people report of a model, and which of two answers they prefer."""

import sqlalchemy as sql
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "reports",
        sql.Column("id", sql.Text, nullable=False),
        sql.Column("created", sql.DateTime(timezone=True), nullable=False),
        sql.Column("checkpoint_id", sql.Text, nullable=False),
        sql.Column("sampling", sql.JSON, nullable=False),
        sql.Column("messages", sql.JSON, nullable=False),
        sql.Column("category", sql.Text),
        sql.Column("description", sql.Text, nullable=False),
        sql.Column("wished_answer", sql.Text),
        sql.Column("rating", sql.Integer),
        sql.Column("consent", sql.Boolean, nullable=False),
        sql.Column("masked", sql.Boolean, nullable=False),
        sql.Column("source", sql.Text, nullable=False),
        sql.Column("status", sql.Text, nullable=False),
        sql.PrimaryKeyConstraint("id", name="pk_reports"),
    )
    op.create_index("ix_reports_created", "reports", ["created"])
    op.create_table(
        "comparisons",
        sql.Column("id", sql.Text, nullable=False),
        sql.Column("created", sql.DateTime(timezone=True), nullable=False),
        sql.Column("prompt", sql.JSON, nullable=False),
        sql.Column("answers", sql.JSON, nullable=False),
        sql.Column("choice", sql.Text, nullable=False),
        sql.Column("margin", sql.Double),
        sql.Column("arena", sql.Boolean, nullable=False),
        sql.Column("consent", sql.Boolean, nullable=False),
        sql.Column("masked", sql.Boolean, nullable=False),
        sql.Column("session", sql.Text, nullable=False),
        sql.PrimaryKeyConstraint("id", name="pk_comparisons"),
    )
    op.create_index("ix_comparisons_created", "comparisons", ["created"])
