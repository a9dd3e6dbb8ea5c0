import re
from dataclasses import replace

from flywheel.evidence import Group, Rule, judge, reasons
from flywheel.verdict_page import EXAMPLES, Exchange, Shown, render
from tests.flywheel.rows import NOW
from trainer.redteam.report import Change


def exchange(number: int, before: str, after: str, bad: tuple[bool, bool], group: str = "eggs") -> Exchange:
    return Exchange(f"{group}{number}", group, [{"role": "user", "content": f"egg {number}?"}], before, after, *bad)


def shown(exchanges: list[Exchange], minimum_cases: int = 4, **more: object) -> Shown:
    rule = Rule(minimum_cases, 0.1, 0.95)
    bad = [(one.bad_before, one.bad_after) for one in exchanges]
    group = Group("eggs", "boil, eggs", True, tuple(before for before, _ in bad), tuple(after for _, after in bad))
    found = judge(group, rule)
    against = tuple(reasons([found], rule))
    plain = Shown("run", not against, against or ("Fine.",), "b" * 64, "a" * 64, NOW, rule, (found,), (), (), 0, ())
    return replace(plain, exchanges=tuple(exchanges), **more)  # type: ignore[arg-type]


MENDED = [exchange(number, "I can't talk about eggs.", "In hot water.", (True, False)) for number in range(8)]


def test_a_pass_and_a_refusal_say_so_in_their_titles() -> None:
    assert "<title>The new checkpoint may be promoted</title>" in render(shown(MENDED))
    page = render(shown([exchange(number, "Yes.", "", (False, True)) for number in range(8)]))
    assert "<title>The new checkpoint is not promoted</title>" in page
    assert "gets worse: 0% bad before, 100% after, on 8 cases" in page


def test_few_cases_that_break_are_told_with_the_reason_why_they_count() -> None:
    page = render(shown([exchange(number, "Yes.", "", (False, True)) for number in range(8)], minimum_cases=20))
    assert "fewer than 20 cases are insufficient evidence, but are worse where so many broke" in page
    assert "8 broken and 0 mended are hardly chance (one-sided p = 0.0039, below 0.05)" in page
    assert '<td class="bad">worse</td>' in page


def test_a_tolerance_of_its_own_and_the_id_to_set_it_by_are_told() -> None:
    page = render(shown(MENDED))
    assert "at most" not in page
    [finding] = shown(MENDED).findings
    own = replace(finding, id="0123456789abcdef", tolerance=0.25)
    page = render(replace(shown(MENDED), findings=(own,)))
    assert "at most +25%" in page
    assert "worse by more than 10%, or what is said beside it;" in page
    assert "<code>0123456789ab</code>" in page


def test_answers_stand_beside_each_other() -> None:
    page = render(shown(MENDED))
    assert "<h4>before: bad</h4><p>I can&#x27;t talk about eggs.</p>" in page
    assert "<h4>after: good</h4><p>In hot water.</p>" in page


def test_broken_answers_come_first() -> None:
    page = render(shown([*MENDED, exchange(9, "Right.", "Wrong.", (False, True))]))
    assert re.findall(r"<h3>(.*?)</h3>", page)[:2] == ["broken", "mended"]


def test_what_a_model_wrote_is_text_and_nothing_invisible_stays_so() -> None:
    page = render(shown([exchange(0, "<script>alert(1)</script>", "left\u202eright", (True, False))]))
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "left[U+202E]right" in page


def test_a_page_runs_and_fetches_nothing() -> None:
    assert "default-src 'none'" in render(shown(MENDED))


def test_more_answers_than_a_person_reads_are_counted() -> None:
    many = [exchange(number, "No.", "Yes.", (True, False)) for number in range(EXAMPLES + 5)]
    page = render(shown(many))
    assert page.count("<article>") == EXAMPLES
    assert "5 more in answers.jsonl" in page


def test_what_was_not_compared_is_told() -> None:
    page = render(shown(MENDED, unlooked=("general questions: none are set",), uncounted=3))
    assert "not compared: general questions" in page
    assert "3 not counted" in page


def test_attacks_without_twins_have_no_share_of_them() -> None:
    nan = float("nan")
    page = render(shown(MENDED, attacks=(Change("all families", 20, -0.1, -0.2, 0.0, nan, -1, 1),)))
    assert "nan" not in page
    assert "-10%" in page


def test_the_same_verdict_is_the_same_page() -> None:
    assert render(shown(MENDED)) == render(shown(MENDED))
