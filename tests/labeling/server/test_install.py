"""Label Studio's own environment: whole or not there."""

import os
import re
from pathlib import Path

import pytest

from labeling.server.install import PINS, STAMP, VERSION, InstallError, environment, install


def test_every_package_is_pinned_by_its_version_alone() -> None:
    lines = PINS.read_text().splitlines()
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9A-Za-z.+!-]*", line) for line in lines)
    assert f"label-studio=={VERSION}" in lines


def test_the_cache_is_the_projects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORPUSCLE_CACHE", str(tmp_path))
    assert environment().parent == tmp_path


def test_a_cache_that_can_not_be_made_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CORPUSCLE_CACHE", str(tmp_path / "file"))
    with pytest.raises(InstallError, match="CORPUSCLE_CACHE name another folder"):
        install(print)


@pytest.mark.slow
def test_what_was_begun_is_not_taken_for_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An earlier attempt left an environment without its stamp; this one finds no registry, and says so."""
    monkeypatch.setenv("CORPUSCLE_CACHE", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    (environment() / "bin").mkdir(parents=True)
    (environment() / "bin" / "label-studio").write_text("half")
    told: list[str] = []
    with pytest.raises(InstallError, match=r"could not be installed \(ERROR: .*package registry"):
        install(told.append)
    assert f"installing Label Studio {VERSION}" in told[0]
    assert not (environment() / STAMP).exists()
    assert not (environment() / "bin" / "label-studio").exists()


@pytest.mark.slow
def test_a_whole_one_is_used_as_it_is(label_studio_template: Path) -> None:
    """The template's server ran from it."""
    told: list[str] = []
    program = install(told.append)
    assert told == []
    assert os.access(program, os.X_OK)
