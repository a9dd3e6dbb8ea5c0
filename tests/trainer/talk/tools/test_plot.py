import io
import json
from typing import Any

import pytest
from PIL import Image

from trainer.talk.tools.plot import Plot
from trainer.talk.tools.tool import Result, ToolError


def plot(**fields: Any) -> Result:
    return Plot().run(json.dumps(fields))


def picture(result: Result) -> Image.Image:
    assert result.png is not None
    return Image.open(io.BytesIO(result.png))


@pytest.mark.parametrize("kind", ["line", "bar", "scatter"])
@pytest.mark.parametrize("x", [[1, 2.5, 4], ["a", "b", "c"]])
@pytest.mark.parametrize("y", [[3, 1, -2], {"one": [3, 1, -2], "_two": [1, 2, 3]}])
def test_each_kind_with_numbers_or_labels_and_one_series_or_two(kind: str, x: list[Any], y: Any) -> None:
    result = plot(kind=kind, x=x, y=y, title="Sales in $ and $", xlabel="x", ylabel="y")
    assert result.text == f"plot of {6 if isinstance(y, dict) else 3} points, 640x400"
    assert (picture(result).format, picture(result).size) == ("PNG", (640, 400))


def test_different_numbers_make_different_pictures_and_the_same_the_same() -> None:
    one, again, other = plot(x=[1, 2], y=[1, 2]), plot(x=[1, 2], y=[1, 2]), plot(x=[1, 2], y=[2, 1])
    assert one.png == again.png != other.png


@pytest.mark.parametrize(
    "numbers", [[1e100, -1e100], [1e-300, 2e-300], [5, 5], [1e15, 1e15 + 1], [0], list(range(1000))]
)
@pytest.mark.parametrize("kind", ["line", "bar", "scatter"])
def test_extreme_numbers_are_drawn(numbers: list[float], kind: str) -> None:
    assert picture(plot(kind=kind, x=numbers, y=numbers)).size == (640, 400)


def test_titles_of_any_script_and_broken_formulas_are_drawn() -> None:
    assert picture(plot(x=[1], y=[1], title=r"$\frac{ 日本 🙂 \unknown", xlabel="$x^$")).size == (640, 400)


@pytest.mark.parametrize(
    ("input", "says"),
    [
        ("", "takes JSON"),
        ("[" * 5000, "takes JSON"),
        ("[1]", "JSON object"),
        ('{"x": [1], "y": [NaN]}', "not within"),
        ('{"x": [1], "y": [1e999]}', "not within"),
        ('{"x": [1], "y": [1' + "0" * 400 + "]}", "not within"),
        ('{"x": [1], "y": [true]}', '"y" has true in it'),
        ('{"x": [1], "y": ["1"]}', '"y" has "1" in it'),
        ('{"x": [1, "b"], "y": [1, 2]}', '"x" has "b" in it'),
        ('{"x": [1, 2], "y": [1]}', '"y" has 1 numbers and "x" 2'),
        ('{"x": [1, 2], "y": {"a": [1]}}', '"y" of "a" has 1'),
        ('{"x": [], "y": []}', '"x" must be a list of 1 to 1000'),
        ('{"y": [1]}', '"x" must be a list'),
        ('{"x": [1], "y": {}}', "0 series"),
        ('{"x": [1], "y": [1], "kind": "pie"}', '"kind" is "pie"'),
        ('{"x": [1], "y": [1], "kind": ["line"]}', '"kind" is'),
        ('{"x": [1], "y": [1], "style": "x"}', 'no "style"'),
        ('{"x": [1], "y": [1], "title": 5}', '"title" must be a text'),
        (json.dumps({"x": [1], "y": [1], "title": "a" * 81}), "at most 80"),
        (json.dumps({"x": ["a"] * 41, "y": [1] * 41}), "41 labels"),
        (json.dumps({"x": [1] * 1001, "y": [1] * 1001}), "1 to 1000"),
        (json.dumps({"x": [1], "y": {str(name): [1] for name in range(9)}}), "9 series"),
    ],
)
def test_what_is_refused_and_why(input: str, says: str) -> None:
    with pytest.raises(ToolError, match=says):
        Plot().run(input)
