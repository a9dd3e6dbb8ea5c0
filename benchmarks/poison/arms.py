"""The runs of the benchmark: clean sets, the base without the hosts, and one arm after another, each in its folder.

A finished run is not made again: the pipeline sees that it would make the same, and archives are written once.
"""

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.poison.attack import Host, Materials
from benchmarks.poison.attacks import all_attacks, gather
from benchmarks.poison.clean import write_sets
from benchmarks.poison.outcome import rows
from benchmarks.poison.page import read_pages
from benchmarks.poison.plant import Planned, choose_hosts, plan, write_arm
from benchmarks.poison.sources import read_texts
from benchmarks.poison.warc import Document, date_of, write_documents
from corpuscle.progress import quiet_workers
from pipeline.artifact import digest
from pipeline.recipe import Recipe, load_recipe
from pipeline.run import run

HERE = Path(__file__).parent
SHORTEST = 800
"""Characters of a host's main text."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Settings:
    """What the benchmark was asked for; all folders but `work` are read only."""

    work: Path
    crawl: tuple[str, ...]
    data: Path | None
    attacks: Path | None
    docs: Path | None
    recipe: Path = HERE / "recipe.yaml"
    quality: Path = HERE / "quality.yaml"
    seed: int = 1
    sizes: tuple[int, ...] = (10, 25, 50, 100, 250)
    each: int = 50
    hosts: int = 500
    families: tuple[str, ...] = ()
    workers: int = 1
    quick: bool = False


@dataclass(frozen=True)
class Arm:
    """A planted corpus: its folder has planted.warc.gz, truth.jsonl, corpus/ and quality/."""

    folder: Path
    planned: tuple[Planned, ...]


@dataclass(frozen=True)
class Planting:
    """All arms, what their attacks were made of, and texts of the hosts."""

    arms: tuple[Arm, ...]
    materials: Materials
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Clean:
    """The clean runs (name -> corpus), and what was missing for more."""

    corpora: dict[str, Path]
    missing: tuple[str, ...]


def make_corpus(recipe: Recipe, archives: Sequence[Path | str], folder: Path, workers: int) -> Path:
    """Run a recipe; nothing to do where the folder has what it would make."""
    workers_options = [f"--direct_num_workers={workers}"]
    run(recipe, [str(path) for path in archives], str(folder), workers_options, watch=_quietly, replace=True)
    return folder


@contextlib.contextmanager
def _quietly(folder: str, archives: Sequence[object]) -> Iterator[None]:
    with quiet_workers():
        yield


def clean_runs(settings: Settings, say: Say) -> Clean:
    """Write the clean sets and run the recipe on them."""
    say("clean sets: writing archives")
    sets, missing = write_sets(
        settings.work / "clean", list(settings.crawl), settings.data, settings.docs, settings.attacks, settings.quick
    )
    recipe, corpora = load_recipe(settings.recipe), {}
    for name, archives in sets.items():
        say(f"clean run: {name}")
        corpora[name] = make_corpus(recipe, archives, settings.work / "clean" / name / "corpus", settings.workers)
    return Clean(corpora, tuple(missing))


def survivors(corpus: Path, pages: Iterator[tuple[str, str, str]]) -> dict[str, Host]:
    """Pages of the crawl that the filters keep, by URL, each text once; poison rules have no say in it."""
    kept = {row["url"] for row in rows(corpus, "filter", "documents", ["url"])}
    texts: dict[str, dict[str, str]] = {}
    seen: set[bytes | str] = set()
    for row in rows(corpus, "extract", "documents", ["url", "text", "language"]):
        mark = hashlib.blake2b(row["text"].encode(), digest_size=16).digest()
        if row["url"] in kept and not {mark, row["url"]} & seen and len(row["text"]) >= SHORTEST:
            texts[row["url"]] = row
        seen |= {mark, row["url"]}
    return {
        url: Host(url, date_of(url), texts[url]["language"] or "", page, texts[url]["text"])
        for url, _, page in pages
        if url in texts
    }


def planted_arms(settings: Settings, web: Path, say: Say) -> Planting:
    """Write the base and every arm's archive and run the recipes on them, arm by arm."""
    texts = read_texts(settings.attacks) if settings.attacks else {}
    attacks = [attack for attack in all_attacks(texts) if not settings.families or attack.family in settings.families]
    pages = survivors(web, read_pages(settings.crawl))
    hosts = choose_hosts(pages, settings.hosts, settings.seed)
    planned = plan(attacks, settings.sizes, settings.each, len(hosts))
    mark = digest([settings.seed, len(hosts), sorted(pages), [[p.attack.name, p.documents, p.arm] for p in planned]])
    folder = settings.work / f"planted-{settings.seed}-{mark[:8]}"
    base = _write_base(folder, web, hosts)
    materials = gather(texts, (host.text for host in pages.values()), web / "tokenize" / "tokenizer.model")
    recipe, quality = load_recipe(settings.recipe), load_recipe(settings.quality)
    arms = []
    for number in range(max((entry.arm for entry in planned), default=-1) + 1):
        arm = Arm(folder / f"arm-{number:02}", tuple(entry for entry in planned if entry.arm == number))
        say(f"arm {number + 1} of {max(entry.arm for entry in planned) + 1}: {_contents(arm)}")
        write_arm(arm.folder, arm.planned, hosts, materials, settings.seed)
        archive = arm.folder / "planted.warc.gz"
        make_corpus(recipe, [base, archive], arm.folder / "corpus", settings.workers)
        make_corpus(quality, [archive], arm.folder / "quality", settings.workers)
        arms.append(arm)
    return Planting(tuple(arms), materials, tuple(host.text for host in pages.values()))


def _write_base(folder: Path, web: Path, hosts: Sequence[Host]) -> Path:
    """The clean crawl's texts without the hosts: as texts, so that no arm extracts them again."""
    path, taken = folder / "base.warc.gz", {host.url for host in hosts}
    if not path.exists():
        found = rows(web, "extract", "documents", ["url", "warc_file", "text"])
        chosen = (row for row in found if row["warc_file"] == "crawl.warc.gz" and row["url"] not in taken)
        write_documents(path, (Document(row["url"], row["text"], is_text=True) for row in chosen))
    return path


def _contents(arm: Arm) -> str:
    families = sorted({entry.attack.family for entry in arm.planned})
    return f"{sum(entry.documents for entry in arm.planned)} documents of {', '.join(families)}"
