"""Airflow's own environment: whole or not there."""

import os
import re
from pathlib import Path

import pytest

from flywheel.airflow.install import AIRFLOW, PINS, VERSION, environment, install
from labeling.environments import STAMP, InstallError


def test_every_package_is_pinned_by_its_version_alone() -> None:
    lines = PINS.read_text().splitlines()
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9A-Za-z.+!-]*", line) for line in lines)
    assert f"apache-airflow=={VERSION}" in lines
    assert f"apache-airflow-core=={VERSION}" in lines


def test_all_that_is_asked_for_is_pinned() -> None:
    pinned = {line.split("==")[0] for line in PINS.read_text().splitlines()}
    assert {re.split(r"[\[=]", one)[0] for one in AIRFLOW.requirements} <= pinned


def test_the_cache_is_the_projects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORPUSCLE_CACHE", str(tmp_path))
    assert environment().parent == tmp_path
    assert VERSION in environment().name


def test_a_cache_that_can_not_be_made_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CORPUSCLE_CACHE", str(tmp_path / "file"))
    with pytest.raises(InstallError, match="Airflow can't be installed there .*CORPUSCLE_CACHE name another folder"):
        install(print)


@pytest.mark.slow
def test_without_a_registry_it_says_so_and_leaves_nothing_that_looks_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CORPUSCLE_CACHE", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    told: list[str] = []
    with pytest.raises(InstallError, match=rf"Airflow {VERSION} could not be installed \(ERROR: .*package registry"):
        install(told.append)
    assert told[0].startswith(f"installing Airflow {VERSION}")
    assert not (environment() / STAMP).exists()


@pytest.mark.slow
def test_a_whole_one_is_used_as_it_is(airflow_program: Path) -> None:
    told: list[str] = []
    assert install(told.append) == airflow_program
    assert told == []
    assert os.access(airflow_program, os.X_OK)
