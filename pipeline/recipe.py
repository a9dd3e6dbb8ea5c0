"""The recipe: a corpus as a typed YAML file. Unknown keys and bad values are errors that name the line."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator, model_validator

from pipeline.filter.blocks import BLOCKS
from pipeline.stage import Block

Share = Annotated[float, Field(ge=0, le=1)]


class RecipeError(Exception):
    """A recipe that can't be used; the message names file, line, what was found and what was expected."""


class _Keys(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Screen(_Keys):
    """The cheap look at a page before its text is extracted, looser than what follows, so that next to nothing is lost.

    All of a page's text is looked at, menus too: `min_chars` of it, and the wanted languages' score.
    """

    min_chars: Annotated[int, Field(ge=0)] = 100
    min_language_score: Share = 0.01


class Crawl(_Keys):
    """From archives to texts."""

    extractor: Literal["trafilatura", "resiliparse"] = "trafilatura"
    languages: tuple[Annotated[str, Field(pattern="^[a-z]{2,3}$")], ...] | None = None
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
    dedup: Dedup = Dedup()
    tokenize: Tokenize = Tokenize()

    @field_validator("filter", mode="before")
    @classmethod
    def _null_is_nothing(cls, value: Any) -> Any:
        return {} if value is None else value

    @property
    def blocks(self) -> list[tuple[str, Block]]:
        """The filter's blocks in the order in which they are applied."""
        return list(self.filter.items())


def load_recipe(path: str | Path) -> Recipe:
    """Read and check a recipe. Raises RecipeError, whose message has a line for each fault."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        near = ", ".join(sorted(str(found) for found in Path(path).parent.glob("*.yaml"))) or "none"
        raise RecipeError(f"{path}: no such recipe. Recipes beside it: {near}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: {error}") from None
    return parse_recipe(text, str(path))


def parse_recipe(text: str, source: str) -> Recipe:
    """A recipe from its YAML text; `source` is the name that errors give."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise RecipeError(f"{source}{line}: not YAML: {getattr(error, 'problem', error)}") from None
    if not isinstance(values, dict):
        raise RecipeError(f"{source}:1: a recipe is a mapping of keys such as name, crawl, filter, dedup, tokenize.")
    lines = dict(_lines(root, ()))
    faults = [f"{source}:{lines[key]}: {key[-1]} appears twice" for key in _twice(root, ())]
    recipe, filters = None, {}
    for name, parameters in (values.get("filter") or {}).items() if isinstance(values.get("filter"), dict) else ():
        try:
            filters[name] = _block(name, parameters)
        except ValidationError as error:
            faults += _describe(error, source, lines, ("filter", name))
        except LookupError as error:
            faults.append(f"{source}:{_line(lines, ('filter', name))}: {error.args[0]}")
    try:
        recipe = Recipe.model_validate(values)
    except ValidationError as error:
        faults += _describe(error, source, lines, ())
    if faults or recipe is None:
        raise RecipeError("\n".join(sorted(faults, key=lambda fault: int(fault[len(source) + 1 :].split(":")[0]))))
    return recipe.model_copy(update={"filter": filters})


def _block(name: str, parameters: Any) -> Block:
    if name not in BLOCKS:
        raise LookupError(f"filter has no rules named {name!r}. Known: {', '.join(BLOCKS)}.")
    block: Block = TypeAdapter(BLOCKS[name]).validate_python({} if parameters is None else parameters)
    return block


def _twice(node: Any, path: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    """The paths of keys that a mapping has twice (YAML would keep the last one silently)."""
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, child in node.value:
            here = (*path, key.value)
            if key.value in seen:
                yield here
            seen.add(key.value)
            yield from _twice(child, here)


def _lines(node: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], int]]:
    """The line of every key and item of a YAML document."""
    if isinstance(node, yaml.MappingNode):
        for key, child in node.value:
            here = (*path, key.value)
            yield here, key.start_mark.line + 1
            yield from _lines(child, here)
    elif isinstance(node, yaml.SequenceNode):
        for number, child in enumerate(node.value):
            yield (*path, number), child.start_mark.line + 1
            yield from _lines(child, (*path, number))


def _line(lines: dict[tuple[str | int, ...], int], path: tuple[str | int, ...]) -> int:
    """The line of a key, or of the nearest key above it."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


def _describe(
    error: ValidationError, source: str, lines: dict[tuple[str | int, ...], int], under: tuple[str | int, ...]
) -> list[str]:
    """A line for each fault: where it is, the key's name, what was found, what was expected."""
    faults = []
    for fault in error.errors(include_url=False):
        path = (*under, *fault["loc"])
        where = f"{source}:{_line(lines, path)}"
        name = ".".join(str(key) for key in path if isinstance(key, str))
        if fault["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
            faults.append(f"{where}: unknown key {name}. {_known_keys(path)}")
        elif fault["type"] == "missing":
            faults.append(f"{where}: {name} is missing.")
        elif fault["type"] in ("value_error", "assertion_error"):
            faults.append(f"{where}: {str(fault['ctx']['error']) if 'ctx' in fault else fault['msg']}")
        else:
            expected = fault["msg"][0].lower() + fault["msg"][1:]
            faults.append(f"{where}: {name} is {fault['input']!r}; {expected}.")
    return faults


def _known_keys(path: tuple[str | int, ...]) -> str:
    """The keys that exist where an unknown one was found."""
    model: Any = Recipe
    if path[:1] == ("filter",) and len(path) > 2:
        model = BLOCKS.get(str(path[1]))
    else:
        for key in path[:-1]:
            annotation = model.model_fields[key].annotation
            candidates = [annotation, *getattr(annotation, "__args__", ())]
            model = next(found for found in candidates if isinstance(found, type) and issubclass(found, BaseModel))
    fields = getattr(model, "model_fields", None) or getattr(model, "__dataclass_fields__", {})
    return f"Known here: {', '.join(fields)}."
