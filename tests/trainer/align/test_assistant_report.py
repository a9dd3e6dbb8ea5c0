from pathlib import Path

from trainer.align.assistant_report import Example, Stage, write_page
from trainer.align.rl.report import mean


def stage(name: str, answer: str, system: str | None) -> Stage:
    example = Example(system, "What is <b>?", answer)
    return Stage(name, name * 16, mean([0.5, 1.5]), None, 3.0, 1.0, 0.0, None, (example,))


def test_the_page_says_what_was_asked_with_what_and_what_to_type_now(tmp_path: Path) -> None:
    stages = [stage("base", "the & the", "Be brief."), stage("sft", " ", "Be brief.")]
    metrics = {"accuracy": 0.75, "val_accuracy": 0.625}
    write_page(tmp_path / "report.html", stages, metrics, {"--held-out": "0.1"}, "corpuscle serve out")
    page = (tmp_path / "report.html").read_text()
    assert "system: Be brief." in page
    assert "What is &lt;b&gt;?" in page
    assert "the &amp; the" in page
    assert "(nothing)" in page
    assert "first in 62.5% of the held-out pairs, and in 75.0% of the last ones that it learnt from." in page
    assert "<th>--held-out</th><td>0.1</td>" in page
    assert "<code>corpuscle serve out</code>" in page


def test_without_held_out_comparisons_the_reward_model_is_not_spoken_for(tmp_path: Path) -> None:
    write_page(tmp_path / "report.html", [stage("base", "a", None)], {}, {}, "")
    page = (tmp_path / "report.html").read_text()
    assert "it is not known how far the reward model can be trusted" in page
    assert "system:" not in page
    assert "by the verifier" not in page
