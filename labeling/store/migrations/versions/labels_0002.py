"""What people are asked and what they say: projects, samples, annotators, annotations."""

import sqlalchemy as sql
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "label_projects",
        sql.Column("name", sql.Text, nullable=False),
        sql.Column("kind", sql.Text, nullable=False),
        sql.Column("reviews", sql.Text),
        sql.Column("server", sql.Text, nullable=False),
        sql.Column("remote_id", sql.Integer, nullable=False),
        sql.Column("config", sql.Text, nullable=False),
        sql.Column("instructions", sql.Text, nullable=False),
        sql.Column("instruction_version", sql.Integer, nullable=False),
        sql.Column("overlap", sql.Integer, nullable=False),
        sql.Column("secret", sql.Text, nullable=False),
        sql.Column("created", sql.DateTime(timezone=True), nullable=False),
        sql.Column("cursor", sql.Text),
        sql.Column("reconciled", sql.DateTime(timezone=True)),
        sql.PrimaryKeyConstraint("name", name="pk_label_projects"),
    )
    op.create_table(
        "label_samples",
        sql.Column("project", sql.Text, nullable=False),
        sql.Column("id", sql.Text, nullable=False),
        sql.Column("content", sql.JSON, nullable=False),
        sql.Column("order", sql.JSON, nullable=False),
        sql.Column("gold", sql.JSON),
        sql.Column("draft", sql.Text),
        sql.Column("draft_model", sql.Text),
        sql.Column("priority", sql.Double, nullable=False),
        sql.Column("provenance", sql.JSON, nullable=False),
        sql.Column("added", sql.DateTime(timezone=True), nullable=False),
        sql.Column("sent", sql.DateTime(timezone=True)),
        sql.Column("task_id", sql.Integer),
        sql.Column("deleted", sql.DateTime(timezone=True)),
        sql.ForeignKeyConstraint(["project"], ["label_projects.name"], name="fk_label_samples_project"),
        sql.PrimaryKeyConstraint("project", "id", name="pk_label_samples"),
    )
    op.create_index("ix_label_samples_task", "label_samples", ["project", "task_id"])
    op.create_index(
        "ix_label_samples_unsent",
        "label_samples",
        ["project", "priority", "id"],
        sqlite_where=sql.text("sent IS NULL"),
        postgresql_where=sql.text("sent IS NULL"),
    )
    op.create_table(
        "label_annotators",
        sql.Column("pseudonym", sql.Text, nullable=False),
        sql.Column("server", sql.Text, nullable=False),
        sql.Column("remote_id", sql.Integer, nullable=False),
        sql.PrimaryKeyConstraint("pseudonym", name="pk_label_annotators"),
        sql.UniqueConstraint("server", "remote_id", name="uq_label_annotators_server"),
    )
    op.create_table(
        "label_annotations",
        sql.Column("project", sql.Text, nullable=False),
        sql.Column("remote_id", sql.Integer, nullable=False),
        sql.Column("task_id", sql.Integer, nullable=False),
        sql.Column("sample", sql.Text),
        sql.Column("annotator", sql.Text, nullable=False),
        sql.Column("result", sql.JSON, nullable=False),
        sql.Column("verdict", sql.JSON),
        sql.Column("reason", sql.Text),
        sql.Column("seconds", sql.Double),
        sql.Column("draft_distance", sql.Double),
        sql.Column("instruction_version", sql.Integer, nullable=False),
        sql.Column("created", sql.DateTime(timezone=True), nullable=False),
        sql.Column("updated", sql.DateTime(timezone=True), nullable=False),
        sql.Column("seen", sql.DateTime(timezone=True), nullable=False),
        sql.ForeignKeyConstraint(["project"], ["label_projects.name"], name="fk_label_annotations_project"),
        sql.PrimaryKeyConstraint("project", "remote_id", name="pk_label_annotations"),
    )
    op.create_index("ix_label_annotations_sample", "label_annotations", ["project", "sample"])
