"""The environment variables of the commands that tasks start: ours, without the secrets of Airflow itself."""

import os

NOT_OURS = ("AIRFLOW", "_AIRFLOW", "CORPUSCLE_AIRFLOW")
"""Beginnings of names: Airflow's keys, and its database's address with the password, in its settings and in ours."""


def without_secrets() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(NOT_OURS)}
