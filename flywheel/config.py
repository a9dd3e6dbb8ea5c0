"""The loop's settings: `flywheel.yaml` in a folder, typed; unknown keys and bad values are errors that name the line.

Paths in it are relative to that folder, so that a command from cron means the same files as one from a terminal.
"""

import re
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import PydanticKnownError

from labeling.store.database import check_url
from pipeline.recipe_faults import as_yaml, expected
from pipeline.yaml_lines import LARGEST, Place, line_of, lines_of, too_large

FILE = "flywheel.yaml"
STORE = "sqlite:///store.sqlite"
_SQLITE = "sqlite:///"


def _no_bool(value: Any) -> Any:
    """Python takes true for 1; a text is taken all the same, as YAML reads 1e-4 as one."""
    if isinstance(value, bool):
        raise PydanticKnownError("float_type")
    return value


Count = Annotated[int, BeforeValidator(_no_bool), Field(ge=1)]
Whole = Annotated[int, BeforeValidator(_no_bool), Field(ge=0)]
Number = Annotated[float, BeforeValidator(_no_bool), Field(allow_inf_nan=False)]
Share = Annotated[Number, Field(ge=0, le=1)]
Positive = Annotated[Number, Field(gt=0)]
Switch = Annotated[bool, Field(strict=True)]


class ConfigError(ValueError):
    """Settings that can't be used; the message has a line for each fault: file, line, what was found and expected."""


class _Keys(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Collect(_Keys):
    """What is collected beside the reports in the store: JSON Lines, whose columns `flywheel.collect` describes.

    The loop's own files in its folder are collected without being named: `flywheel.sampled`, `flywheel.evaluate`.
    """

    evaluations: tuple[Path, ...] = ()
    traffic: tuple[Path, ...] = ()
    """Sampled conversations, which the monitors look at."""
    reference: Path | None = None
    """Ordinary traffic of earlier, with which phrases are compared; by default earlier rows of the loop's own."""
    resampled: Whole = 20
    """Sampled questions that the nightly evaluation asks again, each four times; 0: none."""


class Label(_Keys):
    """Who is asked for corrections. With `draft_url`, an OpenAI-like endpoint, the model there drafts an answer."""

    project: Annotated[str, Field(min_length=1)] = "corrections"
    draft_url: str | None = None
    draft_model: str | None = None

    @field_validator("draft_url")
    @classmethod
    def _with_scheme(cls, value: str | None) -> str | None:
        if value is not None and not re.match(r"https?://[^\s/]", value):
            raise ValueError("expected an address such as http://127.0.0.1:8000/v1")  # and no word of a key in it
        return value


class Decide(_Keys):
    """When to train: so many new corrections, a cluster's share of the new misbehaviours, or so many days."""

    corrections: Count = 20
    cluster_rate: Share = 0.05
    days: Positive = 7.0
    cooldown_hours: Annotated[Number, Field(ge=0)] = 6.0


class Train(_Keys):
    """How to train. `replay` is rows of the older data for each correction; null is the trainer's own default.

    With `preferences`, DPO follows on the pairs of corrected and reported answers, for so many steps.
    """

    steps: Count = 200
    replay: Annotated[Number, Field(ge=0)] = 1.0
    learning_rate: Positive | None = None
    batch_tokens: Count | None = None
    lora_rank: Count | None = None
    seed: Whole = 0
    device: str = "auto"
    preferences: Whole = 0


class Gate(_Keys):
    """What a checkpoint must show. `held_out` is the share of misbehaviours that are cases and never trained on."""

    held_out: Share = 0.3
    minimum_cases: Count = 20
    tolerance: Share = 0.02
    tolerances: dict[Annotated[str, Field(min_length=6)], Share] = {}
    """Others than that, by the beginning of a cluster's id, or `evaluation` for the general questions."""
    confidence: Annotated[Number, Field(gt=0.5, lt=1)] = 0.95
    evaluation: Path | None = None
    """General questions with checks, JSON Lines: what must not become worse."""
    attacks: Switch = True
    """Whether the red team's attacks are put to both checkpoints."""
    max_tokens: Count = 128


class Promote(_Keys):
    """How a passed checkpoint takes over: at once, or, with `canary`, first for that share of conversations.

    After `hours` it takes over in full, or is rolled back where it has been reported more often than its share.
    """

    canary: Annotated[Number, Field(ge=0, lt=1)] = 0.0
    hours: Positive = 24.0


class Trace(_Keys):
    """Where the pages are searched from which a misbehaviour may have been learnt."""

    corpus: Path | None = None
    """What `corpuscle run` made, of which the model was trained."""
    project: Annotated[str, Field(min_length=1)] = "poison-review"
    """The Label Studio project in which people confirm or release pages."""
    pages: Count = 20
    """Most pages offered for a cluster, and held documents of one owner of sites."""


class Schedule(_Keys):
    """What the scheduler does beside the loop itself: a corpus from each new crawl."""

    recipe: Path | None = None
    crawl: str | None = None
    """Archives, a glob; `{month}` stands for the month of a run, such as 2026-11."""
    corpora: Path = Path("corpora")
    """Where corpora are made, a folder for each run."""


class Config(_Keys):
    """`Config(folder=...)` has the defaults; all its paths are absolute."""

    folder: Path
    store: Annotated[str, Field(validate_default=True)] = STORE
    labels: Annotated[Path, Field(validate_default=True)] = Path("labels")
    """The folder of `corpuscle label`."""
    models: Annotated[Path, Field(validate_default=True)] = Path("models")
    replay: Annotated[Path, Field(validate_default=True)] = Path("answers.jsonl")
    """The older data of which a sample is trained on again: demonstrations."""
    collect: Annotated[Collect, Field(validate_default=True)] = Collect()
    label: Label = Label()
    decide: Decide = Decide()
    train: Train = Train()
    gate: Annotated[Gate, Field(validate_default=True)] = Gate()
    promote: Promote = Promote()
    trace: Annotated[Trace, Field(validate_default=True)] = Trace()
    schedule: Annotated[Schedule, Field(validate_default=True)] = Schedule()

    @property
    def current(self) -> Path:
        """Which checkpoint people talk to."""
        return self.models / "current.json"

    @property
    def datasets(self) -> Path:
        return self.folder / "datasets"

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    @property
    def verdicts(self) -> Path:
        return self.folder / "verdicts"

    @field_validator("folder")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.absolute()

    @field_validator("store")
    @classmethod
    def _store_in_the_folder(cls, value: str, info: ValidationInfo) -> str:
        check_url(value)
        path = value.removeprefix(_SQLITE)
        if path == value or path.startswith("/"):
            return value
        return f"{_SQLITE}{info.data['folder'] / path}"

    @field_validator("labels", "models", "replay")
    @classmethod
    def _path_in_the_folder(cls, value: Path, info: ValidationInfo) -> Path:
        folder: Path = info.data["folder"]
        return folder / value

    @field_validator("collect")
    @classmethod
    def _collected_from_the_folder(cls, value: Collect, info: ValidationInfo) -> Collect:
        folder = info.data["folder"]
        inside = {name: tuple(folder / path for path in getattr(value, name)) for name in ("evaluations", "traffic")}
        reference = None if value.reference is None else folder / value.reference
        return value.model_copy(update=inside | {"reference": reference})

    @field_validator("gate")
    @classmethod
    def _evaluation_in_the_folder(cls, value: Gate, info: ValidationInfo) -> Gate:
        if value.evaluation is None:
            return value
        return value.model_copy(update={"evaluation": info.data["folder"] / value.evaluation})

    @field_validator("trace")
    @classmethod
    def _corpus_in_the_folder(cls, value: Trace, info: ValidationInfo) -> Trace:
        return (
            value if value.corpus is None else value.model_copy(update={"corpus": info.data["folder"] / value.corpus})
        )

    @field_validator("schedule")
    @classmethod
    def _schedule_in_the_folder(cls, value: Schedule, info: ValidationInfo) -> Schedule:
        folder = info.data["folder"]
        update: dict[str, object] = {"corpora": folder / value.corpora}
        if value.recipe is not None:
            update["recipe"] = folder / value.recipe
        if value.crawl is not None and "://" not in value.crawl:
            update["crawl"] = str(folder / value.crawl)
        return value.model_copy(update=update)


def load(folder: Path | str) -> Config:
    """The settings of a folder. Raises ConfigError."""
    path = Path(folder) / FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: no such file; write one (an empty one has the defaults), or name its folder."
        ) from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not text in UTF-8; save it as UTF-8.") from None
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}.") from None
    return parse(text, Path(folder), str(path))


def parse(text: str, folder: Path, source: str = FILE) -> Config:
    """Settings from their YAML text; `source` is the name that errors give. Raises ConfigError."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        large = too_large(root)
        values = None if large else yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{source}:{mark.line + 1}" if mark else source
        raise ConfigError(f"{place}: not YAML: {getattr(error, 'problem', None) or error}.") from None
    if large:
        raise ConfigError(
            f"{source}:{large}: more than {LARGEST:,} keys and items, as aliases repeat them; write fewer."
        )
    values = {} if values is None else values
    if not isinstance(values, dict) or "folder" in values:
        raise ConfigError(f"{source}:1: expected keys such as {', '.join(list(Config.model_fields)[1:])}.")
    lines: dict[Place, int] = {}
    faults = []
    try:
        for key, line in lines_of(root):
            if key in lines:  # YAML would keep the last one silently
                faults.append((line, f"{'.'.join(map(str, key))} appears twice."))
            lines[key] = line
    except ValueError as error:
        raise ConfigError(f"{source}:{error}; write its value out.") from None
    # A section that is named and left empty has the defaults.
    filled = {key: {} if value is None and key in _SECTIONS else value for key, value in values.items()}
    try:
        config = Config.model_validate(filled | {"folder": folder})
    except ValidationError as error:
        faults += [_fault(one, lines) for one in error.errors(include_url=False)]
    if faults:
        raise ConfigError("\n".join(f"{source}:{line}: {what}" for line, what in sorted(faults)))
    return config


_SECTIONS = {key: one.annotation for key, one in Config.model_fields.items() if isinstance(one.default, _Keys)}


def _fault(fault: Any, lines: dict[Place, int]) -> tuple[int, str]:
    path: Place = fault["loc"]
    name, line = ".".join(map(str, path)), line_of(lines, path)
    if fault["type"] == "extra_forbidden":
        known: Any = _SECTIONS.get(str(path[0]), Config)
        return line, f"unknown key {name}; expected {', '.join(key for key in known.model_fields if key != 'folder')}."
    if fault["type"] == "value_error":  # our own, which quotes no password of a URL
        return line, f"{name}: {str(fault['ctx']['error']).removesuffix('.')}."
    return line, f"{name} is {as_yaml(fault['input']):.60}; {expected(fault, path)}."
