"""Corrections that a person has released after the search for poison had refused them."""

import sqlalchemy as sql
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "flywheel_releases",
        sql.Column("correction", sql.Text, nullable=False),
        sql.Column("made", sql.DateTime(timezone=True), nullable=False),
        sql.Column("reason", sql.Text, nullable=False),
        sql.Column("refused", sql.Text, nullable=False),
        sql.ForeignKeyConstraint(["correction"], ["flywheel_corrections.id"], name="fk_flywheel_releases_correction"),
        sql.PrimaryKeyConstraint("correction", name="pk_flywheel_releases"),
    )
