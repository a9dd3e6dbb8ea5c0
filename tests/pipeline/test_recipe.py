"""A recipe is checked before anything runs, and each fault names its line."""

import re
from pathlib import Path

import fasttext
import pytest

from pipeline.assets import language_model
from pipeline.crawl.codes import CODES
from pipeline.recipe import RecipeError, load_recipe, locate, parse_recipe

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


def test_unknown_rules_name_the_known_ones_and_what_was_perhaps_meant() -> None:
    (fault,) = faults("name: mine\nfilter:\n  c5:\n")
    assert fault.startswith("mine.yaml:3: filter has no rules named 'c5'. Did you mean c4? Known: ")
    (fault,) = faults("name: mine\nfilter:\n  xyz:\n")
    assert fault.startswith("mine.yaml:3: filter has no rules named 'xyz'. Known: ")


def test_a_value_out_of_range_says_what_it_is_and_what_is_expected() -> None:
    (fault,) = faults("name: mine\ncrawl:\n  languages: [en]\n  min_language_score: 65\n")
    assert fault == "mine.yaml:4: crawl.min_language_score is 65; expected at most 1."


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


def test_aliases_that_come_to_too_much_are_refused_before_they_are_read() -> None:
    levels = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    (fault,) = faults("\n".join(["a0: &a0 [x]", *levels]))
    assert fault.startswith("mine.yaml:5: more than 10,000 keys and items, as aliases repeat them")


def test_an_alias_of_what_it_stands_in_is_refused() -> None:
    (fault,) = faults("name: mine\ncrawl: &x {languages: *x}\n")
    assert fault == "mine.yaml:2: crawl.languages is an alias of what it stands in; write its value out."


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


@pytest.mark.parametrize(("language", "meant"), [("EN", " Did you mean en?"), ("english", ""), ("xx", "")])
def test_languages_are_codes_that_the_language_model_knows(language: str, meant: str) -> None:
    (fault,) = faults(f"name: mine\ncrawl:\n  languages:\n  - de\n  - {language}\n")
    assert fault.startswith(f"mine.yaml:5: crawl.languages has '{language}', which is none of the 176 languages")
    assert fault.endswith(f"such as en, de or zh.{meant}")


def test_the_codes_are_those_of_the_language_model() -> None:
    labels = fasttext.load_model(str(language_model())).labels
    assert {label.removeprefix("__label__") for label in labels} == CODES


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("crawl: {languages: de}", "crawl.languages is 'de'; expected a list such as [de]."),
        ("poison: {block: x.txt}", "poison.block is 'x.txt'; expected a list such as [x.txt]."),
        ("poison: {block: }", "poison.block is null; expected a list such as [lists/names.txt]."),
        (
            "poison: {outcomes: hold}",
            "poison.outcomes is 'hold'; expected keys with their values, such as instructions: hold.",
        ),
        (
            "poison: false",
            "poison is false; expected keys with their values, or nothing for the defaults, or {enabled: false} to "
            "switch it off.",
        ),
        ("crawl: {languages: [no]}", 'crawl.languages has false: YAML reads no so; write "no", quoted.'),
        ("crawl: {extractor: x}", "crawl.extractor is 'x'; expected 'trafilatura' or 'resiliparse'."),
        ("filter: [c4]", "filter is ['c4']; expected keys with their values, such as gopher_quality: {min_words: 50}."),
        ("filter: {c4: 3}", "filter.c4 is 3; expected keys with their values, or nothing for the defaults."),
        ("dedup: {exact: maybe}", "dedup.exact is 'maybe'; expected true or false."),
        ("dedup: {minhash: {bands: x}}", "dedup.minhash.bands is 'x'; expected a whole number."),
        ("dedup: null", "dedup is null; expected keys with their values, or nothing for the defaults."),
        ("tokenize: {vocabulary: 3}", "tokenize.vocabulary is 3; expected text."),
    ],
)
def test_what_was_expected_is_told_in_words_of_recipes(text: str, told: str) -> None:
    assert faults(f"name: mine\n{text}\n") == [f"mine.yaml:2: {told}"]


def test_a_vocabulary_that_is_not_there_names_the_recipes_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\ntokenize:\n  vocabulary: none.model\n")
    with pytest.raises(RecipeError, match=r"mine.yaml:3: tokenize.vocabulary is none.model, but there is no such file"):
        load_recipe(path)


def test_a_folder_and_a_binary_file_are_no_recipes(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "one.yaml").write_text("name: one\n")
    with pytest.raises(RecipeError, match=r"is a folder; a recipe is a YAML file. In it: .*one.yaml"):
        load_recipe(tmp_path)
    with pytest.raises(RecipeError, match="binary is not text in UTF-8"):
        load_recipe(tmp_path / "binary")


def test_a_recipe_is_offered_by_its_name_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(RecipeError, match=r"fineweb: no such recipe. Did you mean recipes/fineweb.yaml\?"):
        load_recipe("fineweb")


def test_a_similarity_of_nothing_is_refused() -> None:
    (fault,) = faults("name: mine\ndedup:\n  minhash: {similarity: 0}\n")
    assert fault == "mine.yaml:3: dedup.minhash.similarity is 0; expected more than 0."


@pytest.mark.parametrize("text", ["", "poison:\n", "poison: {}\n"])
def test_poison_is_looked_for_unless_told_otherwise(text: str) -> None:
    assert parse_recipe(f"name: mine\n{text}", "mine.yaml").poison.enabled
    assert not parse_recipe("name: mine\npoison: {enabled: false}\n", "mine.yaml").poison.enabled


def test_a_recipe_chooses_what_happens_to_findings() -> None:
    recipe = parse_recipe("name: mine\npoison:\n  outcomes: {flood: remove, trigger: strip}\n", "mine.yaml")
    assert recipe.poison.outcomes == {"flood": "remove", "trigger": "strip"}


def test_a_rule_that_is_not_there_is_told_with_the_one_that_was_meant() -> None:
    (fault,) = faults("name: mine\npoison:\n  outcomes:\n    noise: tag\n    trigers: remove\n")
    assert fault.startswith("mine.yaml:5: poison.outcomes has no rule named 'trigers'. Did you mean trigger? Known: ")


@pytest.mark.parametrize("key", ["block", "allow", "decisions"])
def test_a_file_of_decisions_that_is_not_there_is_told_with_its_line(tmp_path: Path, key: str) -> None:
    path, there = tmp_path / "mine.yaml", tmp_path / "there.txt"
    there.write_text("")
    path.write_text(f"name: mine\npoison:\n  {key}:\n  - gs://bucket/remote.txt\n  - {there}\n")
    assert len(getattr(load_recipe(path).poison, key)) == 2
    path.write_text(f"{path.read_text()}  - {tmp_path}/none.jsonl\n")
    with pytest.raises(RecipeError) as error:
        load_recipe(path)
    assert str(error.value) == (
        f"{path}:6: poison.{key} has {tmp_path}/none.jsonl, but there is no such file (looked for "
        f"{tmp_path}/none.jsonl)."
    )


def test_what_goes_wrong_later_is_told_with_its_keys_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\ntokenize:\n  vocabulary_size: 8192\n")
    assert locate(path, "tokenize.vocabulary_size is 8,192, but") == f"{path}:3: tokenize.vocabulary_size is 8,192, but"
    assert locate(path, "tokenize.vocabulary: bad") == f"{path}:2: tokenize.vocabulary: bad"
    assert locate(path, "tokenize, part-00000: bad") == "tokenize, part-00000: bad"
    assert locate(tmp_path / "none.yaml", "tokenize.vocabulary: bad") == "tokenize.vocabulary: bad"


def test_a_rule_about_whole_pages_can_not_cut() -> None:
    (fault,) = faults("name: mine\npoison:\n  outcomes:\n    flood: strip\n")
    assert fault.startswith("mine.yaml:4: poison.outcomes.flood is strip, but that rule points at whole pages")


def test_each_faulty_outcome_has_its_line() -> None:
    found = faults(
        "name: mine\npoison:\n  outcomes:\n    flod: hold\n    noise: tag\n    '{x}': hold\n    flood: strip\n"
    )
    assert [fault.partition(": ")[0] for fault in found] == ["mine.yaml:4", "mine.yaml:6", "mine.yaml:7"]
    assert "no rule named '{x}'" in found[1]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "{outcomes: {flood: delete}}",
            "poison.outcomes.flood is 'delete'; expected 'tag', 'strip', 'hold' or 'remove'",
        ),
        ("{enable: false}", "unknown key poison.enable. Known here: enabled, outcomes, block, allow, decisions"),
        ("{block: list.txt}", "poison.block is 'list.txt'; expected a list"),
        ("{sample_bytes: 10}", "poison.sample_bytes is 10; expected at least 10000"),
    ],
)
def test_a_faulty_poison_key_is_told(text: str, told: str) -> None:
    (fault,) = faults(f"name: mine\npoison: {text}\n")
    assert fault.startswith(f"mine.yaml:2: {told}")
