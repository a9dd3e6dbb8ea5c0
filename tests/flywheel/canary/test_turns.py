"""Ticks beside a canary, those that fail too."""

from pathlib import Path

import pytest

from flywheel.config import Config
from flywheel.promote import begin
from flywheel.tick import tick
from labeling.client import Client
from labeling.quality.simulate import project
from labeling.store.database import Database
from labeling.store.labels import add_project
from tests.flywheel.canaries import canary, complain
from tests.flywheel.promotions import add_passed, current, id_of
from tests.flywheel.rows import HOUR, NOW


def test_ticks_look_at_the_canary_and_begin_nothing_else(database: Database, config: Config, out: str) -> None:
    def turn(hours: int) -> list[tuple[str, bool]]:
        return [(step.name, step.did) for step in tick(database, config, None, lambda: NOW + hours * HOUR)]

    assert turn(1) == [("collect", False), ("label", False), ("admit", False), ("canary", False)]
    assert turn(24)[-1] == ("promote", True)
    assert current(config) == out
    assert turn(25)[-1] == ("decide", False)


def test_a_tick_that_fails_looks_at_the_canary_before_it_says_so(
    database: Database, config: Config, three: list[Path], out: str
) -> None:
    """The questions for the gate can't be read, and people report the canary."""
    add_passed(database, "another", three[2], three[0])
    broken = config.model_copy(update={"gate": config.gate.model_copy(update={"evaluation": config.folder / "none"})})
    complain(database, out, 30)
    told = []
    with pytest.raises(ValueError, match="none: no such file"):
        for step in tick(database, broken, None, lambda: NOW + 2 * HOUR):
            told.append(step.name)
    assert told[-1] == "rollback"
    assert (current(config), canary(config)) == (id_of(three[0]), None)


def test_a_tick_that_fails_promotes_nothing_else(database: Database, config: Config, three: list[Path]) -> None:
    begin(database, config, three[0], NOW)
    add_passed(database, "run", three[1], three[0])
    broken = config.model_copy(update={"gate": config.gate.model_copy(update={"evaluation": config.folder / "none"})})
    with pytest.raises(ValueError, match="none: no such file"):
        list(tick(database, broken, None, lambda: NOW + 2 * HOUR))
    assert (current(config), canary(config)) == (id_of(three[0]), None)


def test_a_project_that_was_changed_or_is_elsewhere_does_not_stop_a_tick(
    database: Database, config: Config, out: str
) -> None:
    add_project(database, project("corrections", "corrections"))
    with Client("http://127.0.0.1:9", "0" * 40, patience=0) as client:
        steps = {step.name: step for step in tick(database, config, client, lambda: NOW + 24 * HOUR)}
    assert steps["label"].said.startswith("nobody can be asked, each tick tries again: there is a project")
    assert steps["promote"].did
    assert current(config) == out
