"""The recipe: a corpus as a typed YAML file. Unknown keys and bad values are errors that name the line."""

import contextlib
import difflib
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from pipeline.crawl.codes import CODES
from pipeline.filter.blocks import BLOCKS
from pipeline.poison.rules import RULES, Outcome
from pipeline.recipe_faults import as_yaml, describe
from pipeline.stage import Block
from pipeline.yaml_lines import LARGEST, line_of, lines_of, too_large, twice

Share = Annotated[float, Field(ge=0, le=1)]


class RecipeError(Exception):
    """A recipe that can't be used; the message names file, line, what was found and what was expected."""


class _Keys(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _known_code(code: Any) -> Any:
    if isinstance(code, bool):
        word = "yes" if code else "no"
        raise ValueError(f'crawl.languages has {as_yaml(code)}: YAML reads {word} so; write "{word}", quoted.')
    if not isinstance(code, str) or code not in CODES:
        near = difflib.get_close_matches(str(code).lower(), sorted(CODES), n=3)
        meant = f" Did you mean {' or '.join(near)}?" if near else ""
        raise ValueError(
            f"crawl.languages has {code!r}, which is none of the {len(CODES)} languages that are told apart; expected "
            f"codes such as en, de or zh.{meant}"
        )
    return code


class Screen(_Keys):
    """The cheap look at a page before its text is extracted, looser than what follows, so that next to nothing is lost.

    All of a page's text is looked at, menus too: `min_chars` of it, and the wanted languages' score.
    """

    min_chars: Annotated[int, Field(ge=0)] = 100
    min_language_score: Share = 0.01


class Crawl(_Keys):
    """From archives to texts."""

    extractor: Literal["trafilatura", "resiliparse"] = "trafilatura"
    languages: tuple[Annotated[str, BeforeValidator(_known_code)], ...] | None = None
    min_language_score: Share = 0.65
    max_record_bytes: Annotated[int, Field(ge=1024, le=1 << 30)] = 8 << 20
    screen: Screen = Screen()


class MinHash(_Keys):
    """Near-duplicates: word n-grams, `bands` x `rows` permutations; each deletion is verified at `similarity`."""

    ngram: Annotated[int, Field(ge=1, le=50)] = 5
    bands: Annotated[int, Field(ge=1, le=512)] = 14
    rows: Annotated[int, Field(ge=1, le=64)] = 8
    threshold: Annotated[float, Field(gt=0, lt=1)] | None = None
    permutations: Annotated[int, Field(ge=2, le=1024)] | None = None
    similarity: Annotated[float, Field(gt=0, le=1)] = 0.7

    @model_validator(mode="after")
    def _threshold_needs_permutations(self) -> "MinHash":
        if (self.threshold is None) != (self.permutations is None):
            raise ValueError("threshold and permutations go together: bands and rows are chosen from both")
        return self


class Poison(_Keys):
    """What is looked for that an attacker may have put in, and what happens to a finding of each rule.

    `outcomes` overrides the defaults: tag, strip (cut the span out), hold (until a person decides) or remove.
    `block`, `allow` and `decisions` are files: pages that go, pages that are only ever tagged, people's verdicts on
    held documents (see pipeline/poison/lists.py). `sample_bytes` of text train the character model.
    """

    enabled: bool = True
    outcomes: dict[str, Outcome] = {}
    block: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    decisions: tuple[str, ...] = ()
    sample_bytes: Annotated[int, Field(ge=10_000, le=1 << 30)] = 8_000_000

    @field_validator("outcomes")
    @classmethod
    def _known_rules(cls, value: dict[str, Outcome]) -> dict[str, Outcome]:
        faults: list[InitErrorDetails] = []
        for name, outcome in value.items():
            fault = ""
            if name not in RULES:
                near = difflib.get_close_matches(name, RULES, n=1)
                meant = f" Did you mean {near[0]}?" if near else ""
                fault = f"poison.outcomes has no rule named {name!r}.{meant} Known: {', '.join(RULES)}."
            elif outcome == "strip" and not RULES[name].spans:
                fault = f"poison.outcomes.{name} is strip, but that rule points at whole pages: nothing to cut."
            if fault:  # each with its key, by which its line is found
                kind = PydanticCustomError("value_error", "{error}", {"error": fault})
                faults.append(InitErrorDetails(type=kind, loc=(name,), input=outcome))
        if faults:
            raise ValidationError.from_exception_data("outcomes", faults)
        return value


class Dedup(_Keys):
    """Which copies go: the same text, and nearly the same text."""

    exact: bool = True
    minhash: MinHash | None = MinHash()


class Tokenize(_Keys):
    """From texts to shards. `vocabulary` is a SentencePiece model's path; without it one is trained."""

    vocabulary: str | None = None
    vocabulary_size: Annotated[int, Field(ge=362, le=1 << 20)] = 32_000
    sample_bytes: Annotated[int, Field(ge=1_000)] = 50_000_000
    shard_tokens: Annotated[int, Field(ge=1_000, le=1 << 30)] = 100_000_000
    validation_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.01


class Recipe(_Keys):
    """A corpus: what is read, kept, cut, removed and how it becomes tokens."""

    name: Annotated[str, Field(min_length=1)]
    description: str = ""
    crawl: Crawl = Crawl()
    filter: dict[str, Any] = {}
    poison: Poison = Poison()
    dedup: Dedup = Dedup()
    tokenize: Tokenize = Tokenize()

    @field_validator("filter", mode="before")
    @classmethod
    def _null_is_nothing(cls, value: Any) -> Any:
        return {} if value is None else value

    @field_validator("poison", mode="before")
    @classmethod
    def _null_is_the_default(cls, value: Any) -> Any:
        return Poison() if value is None else value

    @property
    def blocks(self) -> list[tuple[str, Block]]:
        """The filter's blocks in the order in which they are applied."""
        return list(self.filter.items())


def load_recipe(path: str | Path) -> Recipe:
    """Read and check a recipe. Raises RecipeError, whose message has a line for each fault."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        meant = Path("recipes", f"{Path(path).stem}.yaml")
        if meant.exists():
            raise RecipeError(f"{path}: no such recipe. Did you mean {meant}?") from None
        raise RecipeError(f"{path}: no such recipe. Recipes beside it: {_recipes(Path(path).parent)}.") from None
    except IsADirectoryError:
        raise RecipeError(f"{path} is a folder; a recipe is a YAML file. In it: {_recipes(Path(path))}.") from None
    except UnicodeDecodeError:
        raise RecipeError(f"{path} is not text in UTF-8; a recipe is a YAML file.") from None
    except OSError as error:
        raise RecipeError(f"{path} can't be read: {error.strerror or error}.") from None
    recipe = parse_recipe(text, str(path))
    lines = dict(lines_of(yaml.compose(text, Loader=yaml.SafeLoader)))
    vocabulary = recipe.tokenize.vocabulary
    if vocabulary is not None and not _is_there(vocabulary):
        raise RecipeError(
            f"{path}:{line_of(lines, ('tokenize', 'vocabulary'))}: tokenize.vocabulary is {vocabulary}, but there is "
            f"no such file (looked for {Path(vocabulary).absolute()}). Name a SentencePiece model, or leave the key "
            "out to train one."
        )
    for key in ("block", "allow", "decisions"):
        for number, file in enumerate(getattr(recipe.poison, key)):
            if not _is_there(file):
                fault = "which is a folder" if Path(file).is_dir() else "but there is no such file"
                raise RecipeError(
                    f"{path}:{line_of(lines, ('poison', key, number))}: poison.{key} has {file}, {fault} "
                    f"(looked for {Path(file).absolute()})."
                )
    return recipe


def _is_there(path: str) -> bool:
    """Whether a file of this machine is there; others are looked for when they are read."""
    return "://" in path or Path(path).is_file()


def locate(path: str | Path, message: str) -> str:
    """A message about a recipe's key, with which it begins, with the recipe and the key's line put before it."""
    if found := re.match(r"(?:poison|tokenize)\.[a-z_]+", message):
        with contextlib.suppress(OSError, ValueError, yaml.YAMLError):
            lines = dict(lines_of(yaml.compose(Path(path).read_text(encoding="utf-8"), Loader=yaml.SafeLoader)))
            return f"{path}:{line_of(lines, tuple(found[0].split('.')))}: {message}"
    return message


def _recipes(folder: Path) -> str:
    return ", ".join(sorted(str(found) for found in folder.glob("*.yaml"))) or "none"


def parse_recipe(text: str, source: str) -> Recipe:
    """A recipe from its YAML text; `source` is the name that errors give."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        large = too_large(root)
        values = None if large else yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
        raise RecipeError(f"{source}{line}: not YAML: {problem}") from None
    if large:
        raise RecipeError(
            f"{source}:{large}: more than {LARGEST:,} keys and items, as aliases repeat them; write fewer."
        )
    if not isinstance(values, dict):
        raise RecipeError(f"{source}:1: a recipe is a mapping of keys such as name, crawl, filter, dedup, tokenize.")
    try:
        lines = dict(lines_of(root))
    except ValueError as error:
        raise RecipeError(f"{source}:{error}; write its value out.") from None
    faults = [f"{source}:{lines[key]}: {key[-1]} appears twice" for key in twice(root)]
    recipe, filters = None, {}
    for name, parameters in (values.get("filter") or {}).items() if isinstance(values.get("filter"), dict) else ():
        try:
            filters[name] = _block(name, parameters)
        except ValidationError as error:
            faults += describe(error, Recipe, source, lines, ("filter", name))
        except LookupError as error:
            faults.append(f"{source}:{line_of(lines, ('filter', name))}: {error.args[0]}")
    try:
        recipe = Recipe.model_validate(values)
    except ValidationError as error:
        faults += describe(error, Recipe, source, lines, ())
    if faults or recipe is None:
        raise RecipeError("\n".join(sorted(faults, key=lambda fault: int(fault[len(source) + 1 :].split(":")[0]))))
    return recipe.model_copy(update={"filter": filters})


def _block(name: str, parameters: Any) -> Block:
    if name not in BLOCKS:
        near = difflib.get_close_matches(str(name), BLOCKS, n=1, cutoff=0.5)  # c5: half of c4's name
        meant = f" Did you mean {near[0]}?" if near else ""
        raise LookupError(f"filter has no rules named {name!r}.{meant} Known: {', '.join(BLOCKS)}.")
    block: Block = TypeAdapter(BLOCKS[name]).validate_python({} if parameters is None else parameters)
    return block
