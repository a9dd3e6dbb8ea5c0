"""A recipe is checked before anything runs, and each fault names its line."""

import re
from pathlib import Path

import pytest

from pipeline.recipe import RecipeError, load_recipe, parse_recipe

ROOT = Path(__file__).resolve().parents[2]


def faults(text: str) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(text, "mine.yaml")
    return str(caught.value).splitlines()


def test_a_name_is_enough() -> None:
    recipe = parse_recipe("name: mine\n", "mine.yaml")
    assert recipe.name == "mine"
    assert recipe.blocks == []
    assert recipe.crawl.extractor == "trafilatura"


def test_the_recipes_that_ship_are_valid() -> None:
    for path in sorted((ROOT / "recipes").glob("*.yaml")):
        assert load_recipe(path).name == path.stem


def test_the_readmes_recipe_is_valid() -> None:
    (shown,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert parse_recipe(shown, "README.md").blocks[0][0] == "whitespace"


def test_blocks_keep_their_order() -> None:
    recipe = parse_recipe("name: mine\nfilter:\n  fineweb:\n  gopher_quality: {min_words: 20}\n", "mine.yaml")
    assert [name for name, _ in recipe.blocks] == ["fineweb", "gopher_quality"]


def test_an_unknown_key_names_its_line_and_the_known_ones() -> None:
    (fault,) = faults("name: mine\ncrawl:\n  extractr: resiliparse\n")
    assert fault.startswith("mine.yaml:3: unknown key crawl.extractr. Known here: extractor, languages")


def test_an_unknown_threshold_names_its_line() -> None:
    (fault,) = faults("name: mine\nfilter:\n  gopher_quality:\n    min_wrods: 3\n")
    assert fault.startswith("mine.yaml:4: unknown key filter.gopher_quality.min_wrods. Known here: ")
    assert "min_words" in fault


def test_unknown_rules_name_the_known_ones() -> None:
    (fault,) = faults("name: mine\nfilter:\n  gophr:\n")
    assert fault.startswith("mine.yaml:3: filter has no rules named 'gophr'. Known: ")


def test_a_value_out_of_range_says_what_it_is_and_what_is_expected() -> None:
    (fault,) = faults("name: mine\ncrawl:\n  languages: [en]\n  min_language_score: 65\n")
    assert fault == "mine.yaml:4: crawl.min_language_score is 65; input should be less than or equal to 1."


def test_a_threshold_out_of_range_names_its_line() -> None:
    (fault,) = faults("name: mine\nfilter:\n  gopher_repetition:\n    max_duplicate_lines: 1.5\n")
    assert fault.startswith("mine.yaml:4: filter.gopher_repetition.max_duplicate_lines is 1.5;")


def test_thresholds_that_contradict_each_other_are_refused() -> None:
    (fault,) = faults("name: mine\nfilter:\n  gopher_quality:\n    min_words: 500000\n")
    assert fault.startswith("mine.yaml:3: ")
    assert "more than max_words" in fault


def test_every_fault_is_told_at_once() -> None:
    found = faults("name: mine\nnmae: x\ndedup:\n  minhash: {bands: 0}\nfilter:\n  gophr:\n")
    assert [fault.split(": ")[0] for fault in found] == ["mine.yaml:2", "mine.yaml:4", "mine.yaml:6"]


def test_a_key_given_twice_is_refused() -> None:
    assert faults("name: mine\ncrawl: {}\ncrawl: {languages: [en]}\n") == ["mine.yaml:3: crawl appears twice"]


def test_text_that_is_not_yaml_names_the_line() -> None:
    (fault,) = faults("name: mine\n  crawl: [\n")
    assert fault.startswith("mine.yaml:2: not YAML")


def test_a_list_is_not_a_recipe() -> None:
    (fault,) = faults("- name\n")
    assert "a recipe is a mapping" in fault


def test_a_missing_recipe_names_those_beside_it(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text("name: other\n")
    with pytest.raises(RecipeError, match="no such recipe.*other.yaml"):
        load_recipe(tmp_path / "mine.yaml")


def test_minhash_threshold_needs_permutations() -> None:
    (fault,) = faults("name: mine\ndedup:\n  minhash: {threshold: 0.8}\n")
    assert "threshold and permutations go together" in fault


@pytest.mark.parametrize("language", ["EN", "english", "e"])
def test_languages_are_codes(language: str) -> None:
    (fault,) = faults(f"name: mine\ncrawl:\n  languages: [{language}]\n")
    assert fault.startswith("mine.yaml:3: crawl.languages is")


def test_a_similarity_of_nothing_is_refused() -> None:
    (fault,) = faults("name: mine\ndedup:\n  minhash: {similarity: 0}\n")
    assert fault == "mine.yaml:3: dedup.minhash.similarity is 0; input should be greater than 0."
