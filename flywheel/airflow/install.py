"""Airflow in a virtual environment of its own: it shares protobuf, gRPC and SQLAlchemy with Beam, and wants others.

132 packages, 310 MB, a minute or two. psycopg is for a database that is PostgreSQL.
"""

from pathlib import Path

from labeling.environments import Environment, Say

VERSION = "3.3.2"
PINS = Path(__file__).with_name("airflow.txt")
AIRFLOW = Environment(
    name="Airflow",
    version=VERSION,
    requirements=(f"apache-airflow=={VERSION}", "psycopg[binary]"),
    pins=PINS,
    program="airflow",
    size="310 MB",
    time="about 2 minutes",
)


def environment() -> Path:
    """Where Airflow's environment for this Python is, or would be."""
    return AIRFLOW.folder


def install(say: Say) -> Path:
    """The path of the `airflow` program, installed on first use; `say` hears how far that is. Raises InstallError."""
    return AIRFLOW.install(say)
