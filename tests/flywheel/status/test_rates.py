"""Rates over time, from verdicts and measurements."""

from datetime import datetime
from typing import Any

from flywheel.status.plot import plot, span_of
from flywheel.status.rates import History, Point, Turn, histories, line
from flywheel.tables import Measurement, Verdict
from labeling.store.database import Database
from tests.flywheel.rows import DAY, HOUR, NOW, add_round, promotion, run_of


def group(before: float, after: float, cases: int = 20) -> dict[str, Any]:
    return {"id": "a0" * 32, "name": "eggs", "cases": cases, "before": before, "after": after}


def add_verdict(database: Database, id: str, at: datetime, after: float, promoted: bool) -> None:
    with database.write() as session:
        session.add(run_of(id * 64, "d0" * 32, 1, state="promoted" if promoted else "refused"))
        session.flush()
        figures = {"base": "c0", "checkpoint": id, "groups": [group(0.5, after), group(0, 0, 0) | {"id": "empty"}]}
        values = {"made": at, "passed": promoted, "reason": "", "page": "", "figures": figures}
        session.add(Verdict(id=id, run=id * 64, **values))
        session.flush()
        if promoted:
            session.add(promotion(7, id, id))


def add_measurement(database: Database, at: datetime, bad: int, cases: int = 20, of: str = "a0" * 32) -> None:
    with database.write() as session:
        id = f"{at}{of}"
        session.add(Measurement(id=id, made=at, checkpoint_id="c0", group=of, name="eggs", cases=cases, bad=bad))


def read(database: Database) -> dict[str, History]:
    with database.read() as session:
        return histories(session)


def test_verdicts_and_measurements_are_one_line_in_the_order_of_time(database: Database) -> None:
    add_round(database)
    add_measurement(database, NOW, 3)
    add_verdict(database, "1", NOW - DAY, 0.25, promoted=True)
    add_measurement(database, NOW - 2 * DAY, 11)
    found = read(database)["a0" * 32]
    assert [(point.bad, point.checkpoint_id) for point in found.points] == [(11, "c0"), (10, "c0"), (5, "1"), (3, "c0")]
    assert all(point.served for point in found.points)


def test_what_the_gate_refused_was_never_what_people_talked_to(database: Database) -> None:
    add_round(database)
    add_verdict(database, "1", NOW - DAY, 0.75, promoted=False)
    found = read(database)["a0" * 32]
    assert [point.bad for point in found.points] == [10, 15]
    assert [point.bad for point in found.served] == [10]


def test_groups_without_cases_have_no_rate(database: Database) -> None:
    add_round(database)
    add_verdict(database, "1", NOW - DAY, 0.75, promoted=False)
    add_measurement(database, NOW, 0, 0, "attacks")
    assert set(read(database)) == {"a0" * 32}


def point(at: datetime, bad: int, served: bool = True, of: str = "c0" * 32) -> Point:
    return Point(at, of, bad, 10, served)


def drawn(points: list[Point], *turns: tuple[int, str], until: int = 9) -> list[list[tuple[int, float]]]:
    """The line, in days since the first day."""
    found = line(History("a", "eggs", tuple(points)), [Turn(on(day), id) for day, id in turns], on(until))
    return [[((at - on(0)) // DAY, rate) for at, rate in stretch] for stretch in found]


def on(day: int) -> datetime:
    return NOW + day * DAY


def test_after_a_rollback_the_line_goes_on_from_the_checkpoint_that_answers_again() -> None:
    points = [point(on(0), 8, of="old"), point(on(1), 1, of="new")]
    turns = ((-1, "old"), (1, "new"))
    assert drawn(points, *turns) == [[(0, 0.8), (1, 0.1), (9, 0.1)]]
    back = [(0, 0.8), (1, 0.1), (3, 0.1), (3, 0.8)]
    assert drawn(points, *turns, (3, "old")) == [[*back, (9, 0.8)]]
    assert drawn([*points, point(on(5), 6, of="old")], *turns, (3, "old")) == [[*back, (5, 0.6), (9, 0.6)]]


def test_the_end_of_a_canary_is_no_turn_of_the_line() -> None:
    points = [point(on(0), 8, of="old"), point(on(0), 1, served=False, of="canary")]
    assert drawn(points, (-1, "old"), (3, "old")) == [[(0, 0.8), (9, 0.8)]]


def test_where_nothing_is_known_of_what_answers_there_is_no_line() -> None:
    points = [point(on(0), 8, of="old")]
    assert drawn(points, (2, "by hand")) == [[(0, 0.8), (2, 0.8)]]
    assert drawn(points, (2, "by hand"), (4, "old")) == [[(0, 0.8), (2, 0.8)], [(4, 0.8), (9, 0.8)]]
    asked = [*points, point(on(3), 5, of="by hand")]
    assert drawn(asked, (2, "by hand")) == [[(0, 0.8), (2, 0.8)], [(3, 0.5), (9, 0.5)]]
    assert drawn([], (0, "old")) == []


def test_a_plot_runs_from_the_first_day_to_the_last_and_from_all_to_none() -> None:
    found = History("a", "eggs", (point(NOW - DAY, 10), point(NOW, 0), point(NOW, 5, served=False)))
    turns = [Turn(NOW - HOUR, "c0" * 32), Turn(NOW - 9 * DAY, "c0" * 32)]
    drawn = plot(found, span_of([found], NOW) or (NOW, NOW), turns)
    assert 'points="38.0,8.0 312.0,76.0 312.0,76.0"' in drawn
    assert drawn.count('class="dot"') == 2
    assert drawn.count('class="ring"') == 1
    assert drawn.count('class="change"') == 1
    assert 'aria-label="bad answers: 100% on 2026-03-01, 0% on 2026-03-02"' in drawn
    assert "01 Mar</text>" in drawn
    assert "02 Mar</text>" in drawn


def test_a_single_point_stands_in_the_middle() -> None:
    found = History("a", "eggs", (point(NOW, 5),))
    assert 'points="175.0,42.0 175.0,42.0"' in plot(found, (NOW, NOW))


def test_a_plot_ends_now_and_by_a_clock_that_was_ahead_at_the_last_point() -> None:
    found = History("a", "eggs", (point(NOW - DAY, 10), point(NOW, 5)))
    assert span_of([found], NOW + DAY) == (NOW - DAY, NOW + DAY)
    assert span_of([found], NOW - DAY) == (NOW - DAY, NOW)
    assert span_of([], NOW) is None


def test_a_rollback_is_told_to_who_hears_the_page() -> None:
    found = History("a", "eggs", (point(NOW - 3 * DAY, 8, of="old"), point(NOW - 2 * DAY, 1, of="new")))
    turns = [Turn(NOW - DAY, "old")]
    told = "80% on 2026-02-27, 10% on 2026-02-28, 10% on 2026-03-01, 80% on 2026-03-01, 80% on 2026-03-02"
    assert f'aria-label="bad answers: {told}"' in plot(found, (NOW - 3 * DAY, NOW), turns)
