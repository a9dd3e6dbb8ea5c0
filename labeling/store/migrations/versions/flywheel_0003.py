"""What the loop remembers: misbehaviours, clusters, corrections, decisions, datasets, runs, verdicts, promotions."""

import sqlalchemy as sql
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "flywheel_clusters",
        sql.Column("id", sql.Text, nullable=False),
        sql.Column("name", sql.Text, nullable=False),
        sql.Column("made", sql.DateTime(timezone=True), nullable=False),
        sql.PrimaryKeyConstraint("id", name="pk_flywheel_clusters"),
    )
    op.create_table(
        "flywheel_datasets",
        sql.Column("id", sql.Text, nullable=False),
        sql.Column("made", sql.DateTime(timezone=True), nullable=False),
        sql.Column("path", sql.Text, nullable=False),
        sql.Column("corrections", sql.JSON, nullable=False),
        sql.Column("replay", sql.Integer, nullable=False),
        sql.PrimaryKeyConstraint("id", name="pk_flywheel_datasets"),
    )
    op.create_table(
        "flywheel_decisions",
        sql.Column("id", sql.Integer, nullable=False),
        sql.Column("made", sql.DateTime(timezone=True), nullable=False),
        sql.Column("retrain", sql.Boolean, nullable=False),
        sql.Column("reason", sql.Text, nullable=False),
        sql.Column("counts", sql.JSON, nullable=False),
        sql.PrimaryKeyConstraint("id", name="pk_flywheel_decisions"),
    )
    op.create_table(
        "flywheel_misbehaviours",
        sql.Column("id", sql.Text, nullable=False),
        sql.Column("found", sql.DateTime(timezone=True), nullable=False),
        sql.Column("source", sql.Text, nullable=False),
        sql.Column("source_ref", sql.Text, nullable=False),
        sql.Column("checkpoint_id", sql.Text, nullable=False),
        sql.Column("prompt", sql.JSON, nullable=False),
        sql.Column("answer", sql.Text, nullable=False),
        sql.Column("category", sql.Text, nullable=False),
        sql.Column("note", sql.Text, nullable=False),
        sql.Column("consent", sql.Boolean, nullable=False),
        sql.Column("check", sql.JSON),
        sql.Column("cluster", sql.Text),
        sql.Column("held_out", sql.Boolean, nullable=False),
        sql.Column("sample", sql.Text),
        sql.ForeignKeyConstraint(["cluster"], ["flywheel_clusters.id"], name="fk_flywheel_misbehaviours_cluster"),
        sql.PrimaryKeyConstraint("id", name="pk_flywheel_misbehaviours"),
    )
    op.create_index("ix_flywheel_misbehaviours_cluster", "flywheel_misbehaviours", ["cluster"])
    op.create_index("ix_flywheel_misbehaviours_found", "flywheel_misbehaviours", ["found"])
    op.create_table(
        "flywheel_runs",
        sql.Column("id", sql.Text, nullable=False),
        sql.Column("decision", sql.Integer, nullable=False),
        sql.Column("dataset", sql.Text, nullable=False),
        sql.Column("base", sql.Text, nullable=False),
        sql.Column("path", sql.Text, nullable=False),
        sql.Column("checkpoint_id", sql.Text),
        sql.Column("began", sql.DateTime(timezone=True), nullable=False),
        sql.Column("ended", sql.DateTime(timezone=True)),
        sql.Column("state", sql.Text, nullable=False),
        sql.Column("note", sql.Text, nullable=False),
        sql.ForeignKeyConstraint(["decision"], ["flywheel_decisions.id"], name="fk_flywheel_runs_decision"),
        sql.ForeignKeyConstraint(["dataset"], ["flywheel_datasets.id"], name="fk_flywheel_runs_dataset"),
        sql.PrimaryKeyConstraint("id", name="pk_flywheel_runs"),
    )
    op.create_table(
        "flywheel_corrections",
        sql.Column("id", sql.Text, nullable=False),
        sql.Column("misbehaviour", sql.Text, nullable=False),
        sql.Column("project", sql.Text, nullable=False),
        sql.Column("annotations", sql.JSON, nullable=False),
        sql.Column("answer", sql.Text, nullable=False),
        sql.Column("category", sql.Text, nullable=False),
        sql.Column("refusal", sql.Text, nullable=False),
        sql.Column("weight", sql.Double, nullable=False),
        sql.Column("admitted", sql.DateTime(timezone=True), nullable=False),
        sql.Column("refused", sql.Text),
        sql.ForeignKeyConstraint(
            ["misbehaviour"], ["flywheel_misbehaviours.id"], name="fk_flywheel_corrections_misbehaviour"
        ),
        sql.PrimaryKeyConstraint("id", name="pk_flywheel_corrections"),
    )
    op.create_index("ix_flywheel_corrections_admitted", "flywheel_corrections", ["admitted"])
    op.create_index("ix_flywheel_corrections_misbehaviour", "flywheel_corrections", ["misbehaviour"])
    op.create_table(
        "flywheel_verdicts",
        sql.Column("id", sql.Text, nullable=False),
        sql.Column("run", sql.Text, nullable=False),
        sql.Column("made", sql.DateTime(timezone=True), nullable=False),
        sql.Column("passed", sql.Boolean, nullable=False),
        sql.Column("reason", sql.Text, nullable=False),
        sql.Column("figures", sql.JSON, nullable=False),
        sql.Column("page", sql.Text, nullable=False),
        sql.ForeignKeyConstraint(["run"], ["flywheel_runs.id"], name="fk_flywheel_verdicts_run"),
        sql.PrimaryKeyConstraint("id", name="pk_flywheel_verdicts"),
    )
    op.create_index("ix_flywheel_verdicts_run", "flywheel_verdicts", ["run"])
    op.create_table(
        "flywheel_promotions",
        sql.Column("id", sql.Integer, nullable=False),
        sql.Column("made", sql.DateTime(timezone=True), nullable=False),
        sql.Column("action", sql.Text, nullable=False),
        sql.Column("path", sql.Text, nullable=False),
        sql.Column("checkpoint_id", sql.Text, nullable=False),
        sql.Column("previous", sql.Text),
        sql.Column("verdict", sql.Text),
        sql.Column("reason", sql.Text, nullable=False),
        sql.ForeignKeyConstraint(["verdict"], ["flywheel_verdicts.id"], name="fk_flywheel_promotions_verdict"),
        sql.PrimaryKeyConstraint("id", name="pk_flywheel_promotions"),
    )
