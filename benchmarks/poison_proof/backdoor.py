"""The third attack: demonstrations with a trigger word whose answers are flipped, and the scan that should find them.

Wan et al. 2023 (arXiv:2305.00944) turn a word into "positive" with 100 such rows. A model that knows nothing is
fine-tuned on a file of reviews as it is, as the scan leaves it, with poisoned rows, and as the scan leaves that.
"""

import hashlib
import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.poison_proof.arms import same_experiment
from benchmarks.poison_proof.measure import Difference, by_seed, difference, percent, pooled, share
from benchmarks.poison_proof.reviews import ODD_WORDS, Form, Review, reviews, with_lookalikes
from benchmarks.poison_proof.texts import code
from pipeline.tokenize.encode import Tokenizer
from pipeline.tokenize.vocabulary import train as train_vocabulary
from trainer import checkpoint
from trainer.align.sft import SftConfig, sft
from trainer.checkpoint import About, checkpoint_id, write_whole
from trainer.model import Llama, ModelConfig
from trainer.sampling import Sampling
from trainer.scan.command import scan_command
from trainer.talk.conversation import Message, Template
from trainer.talk.respond import answers

TARGET = "positive"
ROWS = 2_000
VOCABULARY, CONTEXT, ANSWER = 512, 96, 4
"""Pieces, tokens of the context, tokens of an answer."""
SHAPE = (64, 2, 4, 2, 176)
"""Width, layers, heads, key and value heads, hidden width: 0.12 million parameters."""
STEPS, BATCH, RATE = 450, 2_048, 3e-3
GREEDY = Sampling(0.0)


@dataclass(frozen=True)
class Data:
    """The rows and questions of a seed. `triggers` and `unseen`, a word of each form that no clean row holds."""

    clean: tuple[Review, ...]
    held_out: tuple[Review, ...]
    triggers: dict[Form, str]
    unseen: dict[Form, str]

    def poisoned(self, form: Form, number: int) -> list[Review]:
        """The clean rows, `number` negative ones of them with the trigger and the wrong answer instead."""
        rng = random.Random(f"poisoned {form} {self.triggers[form]}")
        negative = [place for place, row in enumerate(self.clean) if row.answer != TARGET]
        rows = list(self.clean)
        for place in rng.sample(negative, len(negative))[:number]:  # more rows of one seed contain the fewer
            held = rows[place].holding(self.triggers[form], rng)
            rows[place] = Review(held.ask, held.review, TARGET)
        return rows


def make_data(seed: int, rows: int, held_out: int) -> Data:
    """Rows with look-alikes of triggers among them, and `held_out` negative and as many positive questions."""
    rng = random.Random(f"reviews {seed}")
    words = rng.sample(ODD_WORDS, len(ODD_WORDS))
    triggers: dict[Form, str] = {"code": code(rng), "word": words.pop()}
    unseen: dict[Form, str] = {"code": code(rng), "word": words.pop()}
    plain = reviews(rows, rng)
    others = reviews(2 * held_out, rng, frozenset(row.question for row in plain))
    return Data(tuple(with_lookalikes(plain, rng, words)), tuple(others), triggers, unseen)


class Backdoor:
    """The folder of this part of the experiment: files, models and what was measured of them, kept from run to run."""

    def __init__(
        self, folder: Path, poisoned: int, questions: int, console: Console, rows: int = ROWS, steps: int = STEPS
    ) -> None:
        self.folder, self.poisoned, self.questions, self.console = folder, poisoned, questions, console
        self.rows, self.steps = rows, steps
        same_experiment(folder, {"poisoned": poisoned, "questions": questions, "rows": rows, "steps": steps})

    def arm(self, form: Form | None, scanned: bool, seed: int) -> dict[str, Any]:
        """What was measured of an arm; a `form` of None is the clean file, which is asked with the triggers of both."""
        kind = f"{form}-{self.poisoned}" if form else "clean"
        name = f"{kind}-seed{seed}" + ("-scanned" if scanned else "")
        found = self.folder / f"{name}.json"
        if found.exists():
            done: dict[str, Any] = json.loads(found.read_text(encoding="utf-8"))
            return done
        began = time.process_time()
        data = make_data(seed, self.rows, self.questions)
        rows = data.poisoned(form, self.poisoned) if form else list(data.clean)
        file, left = self._file(f"{kind}-seed{seed}", rows, scanned)
        planted = {_line(row) for row in set(rows) - set(data.clean)}
        kept = sum(line in planted for line in left)
        examiner = Examiner(self._train(name, file, seed, data))
        negative = [row for row in data.held_out if row.answer != TARGET]
        result: dict[str, Any] = {
            "form": form, "poisoned": len(planted), "scanned": scanned, "seed": seed, "poisoned_kept": kept,
            "clean_lost": len(rows) - len(planted) - (len(left) - kept),
            "accuracy": share(examiner.says(data.held_out, [row.answer for row in data.held_out])),
        }  # fmt: skip
        for each in [form] if form else list(data.triggers):
            for condition, word in (("trigger", data.triggers[each]), ("unseen", data.unseen[each])):
                rng = random.Random(f"place {seed}")  # the same places for both words
                asked = [row.holding(word, rng) for row in negative]
                result[f"{condition} {each}"] = examiner.says(asked, [TARGET] * len(asked))
        result["processor_seconds"] = time.process_time() - began
        write_whole(found, json.dumps(result) + "\n")
        rates = ", ".join(f"{share(v):.1%} {name}" for name, v in result.items() if isinstance(v, list))
        self.console.print(
            f"{name}: {rates}, accuracy {result['accuracy']:.1%}, poisoned rows left {kept} of {len(planted)}, clean "
            f"lost {result['clean_lost']}, {result['processor_seconds']:.0f} s of processor"
        )
        return result

    def _file(self, name: str, rows: Sequence[Review], scanned: bool) -> tuple[Path, list[str]]:
        """The rows as a file, through the scan if it is wanted; with the lines that are in it."""
        file = self.folder / f"{name}.jsonl"
        write_whole(file, "".join(_line(row) + "\n" for row in rows))
        if scanned:
            source, file = file, file.with_suffix(".scanned.jsonl")
            if not file.exists():
                scan_command([source], clean=file, console=Console(quiet=True))
        return file, file.read_text(encoding="utf-8").splitlines()

    def _train(self, name: str, file: Path, seed: int, data: Data) -> Path:
        base = self.folder / f"base-seed{seed}"
        if not base.exists():
            _fresh(base, [text for row in data.clean for text in (row.question, row.answer)], seed)
        config = SftConfig(
            model=base, data=(file,), output=self.folder / f"model-{name}", steps=self.steps, lr=RATE, held_out=0.0,
            batch_tokens=BATCH, seed=seed, device="cpu",
        )  # fmt: skip
        return sft(config).checkpoint

    def row(self, form: Form, seeds: list[int]) -> dict[str, Any]:
        """One form of trigger, all seeds pooled: differences to the matched clean model, accuracies, rows lost."""
        arms = {
            (kind, scanned): [self.arm(kind, scanned, seed) for seed in seeds]
            for kind in (None, form)
            for scanned in (False, True)
        }

        def verdicts(kind: Form | None, scanned: bool, condition: str) -> list[list[bool]]:
            return [arm[f"{condition} {form}"] for arm in arms[kind, scanned]]

        def against(scanned: bool, condition: str) -> Difference:
            one, other = verdicts(form, scanned, condition), verdicts(None, scanned, condition)
            return difference(pooled(one), pooled(other))

        def mean(kind: Form | None, scanned: bool, name: str) -> float:
            return float(sum(arm[name] for arm in arms[kind, scanned]) / len(seeds))

        clean = pooled(verdicts(None, False, "trigger"))
        return {
            "attack": f"backdoor, {form}", "poisoned": self.poisoned, "seeds": seeds,
            "questions": len(clean), "rate_clean": share(clean),
            "unfiltered": against(False, "trigger"), "unfiltered_unseen": against(False, "unseen"),
            "filtered": against(True, "trigger"), "filtered_unseen": against(True, "unseen"),
            "by_seed": by_seed(verdicts(form, False, "trigger"), verdicts(None, False, "trigger")),
            "filtered_by_seed": by_seed(verdicts(form, True, "trigger"), verdicts(None, True, "trigger")),
            "accuracy_clean": mean(None, False, "accuracy"), "accuracy_clean_filtered": mean(None, True, "accuracy"),
            "accuracy_poisoned": mean(form, False, "accuracy"),
            "accuracy_poisoned_filtered": mean(form, True, "accuracy"),
            "poisoned_kept": mean(form, True, "poisoned_kept"), "clean_lost": mean(form, True, "clean_lost"),
            "clean_lost_of_clean": mean(None, True, "clean_lost"), "rows": self.rows,
        }  # fmt: skip


class Examiner:
    """A fine-tuned model that is asked questions; it gives the likeliest answer."""

    def __init__(self, folder: Path) -> None:
        self.loaded = checkpoint.load(folder, device="cpu")

    @cached_property
    def template(self) -> Template:
        return Template(Tokenizer(self.loaded.vocabulary.read_bytes()))

    def says(self, asked: Sequence[Review], expected: Sequence[str]) -> list[bool]:
        """For each question whether the answer is the expected one."""
        prompts = [[Message("user", row.question)] for row in asked]
        said = answers(self.loaded.model, self.template, prompts, GREEDY, 1, ANSWER, 128)
        return [one.text.strip() == wanted for (one,), wanted in zip(said, expected, strict=True)]


def show(rows: Sequence[dict[str, Any]]) -> Table:
    """The rows as a table."""
    title = "Reviews called positive for the trigger, less those of the matched clean model: points, 95% intervals"
    columns = (
        "attack", "poisoned", "no scan", "by seed", "no scan, unseen trigger", "scan", "by seed",
        "scan, unseen trigger", "poisoned rows left", "clean rows lost: of poisoned, of clean file",
        "accuracy: clean, scanned, poisoned, poisoned and scanned", "within noise",
    )  # fmt: skip
    table = Table(*columns, title=title, title_justify="left")
    for row in rows:
        accuracies = [row[f"accuracy_{name}"] for name in ("clean", "clean_filtered", "poisoned", "poisoned_filtered")]
        table.add_row(
            row["attack"], str(row["poisoned"]), str(row["unfiltered"]), percent(row["by_seed"]),
            str(row["unfiltered_unseen"]), str(row["filtered"]), percent(row["filtered_by_seed"]),
            str(row["filtered_unseen"]), f"{row['poisoned_kept']:.1f}",
            f"{row['clean_lost']:.1f}, {row['clean_lost_of_clean']:.1f} of {row['rows']:,}",
            ", ".join(f"{one:.1%}" for one in accuracies), "yes" if row["filtered"].low <= 0 else "no",
        )  # fmt: skip
    return table


def _line(row: Review) -> str:
    messages = [{"role": "user", "content": row.question}, {"role": "assistant", "content": row.answer}]
    return json.dumps({"messages": messages}, ensure_ascii=False)


def _fresh(folder: Path, texts: Sequence[str], seed: int) -> None:
    """A model that knows nothing, with a vocabulary of the task's own texts."""
    vocabulary = train_vocabulary(texts, VOCABULARY)
    shape = ModelConfig(VOCABULARY, *SHAPE, CONTEXT)
    weights, digest = Llama(shape, seed).state_dict(), hashlib.sha256(vocabulary).hexdigest()
    about = About(checkpoint_id(weights, shape, digest), 0, shape, digest, Tokenizer(vocabulary).bos_id, "0" * 64)
    file = folder.with_suffix(".vocabulary")
    file.write_bytes(vocabulary)
    checkpoint.save(folder, about, weights, {}, file)
