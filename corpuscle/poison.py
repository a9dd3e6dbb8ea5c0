"""`corpuscle poison`: why a page was pointed at, what waits for a person, and alignment data looked through."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from corpuscle.terminal import Unbroken, plain

if TYPE_CHECKING:
    from pipeline.poison.ledger import Seen

app = typer.Typer(no_args_is_help=True, help="What may have been planted: in a corpus, in training data.")


def _out() -> Console:
    return Unbroken(markup=False, highlight=False, soft_wrap=True)


@app.command(
    short_help="Tell why a document was pointed at, or at whom a rule points.",
    epilog="Example: corpuscle poison explain corpus https://example.com/page",
)
def explain(
    corpus: Annotated[str, typer.Argument(help="The folder of a finished run.")],
    target: Annotated[str, typer.Argument(help="A document's id, a URL, SHARD:TOKEN, or a rule such as trigger.")],
) -> None:
    """Tell what each rule found in a document, or which documents a rule points at; nothing invisible stays so."""
    from pipeline.poison.explain import explain_document, explain_rule
    from pipeline.poison.rules import RULES
    from pipeline.report.numbers import plural

    console = _out()
    if target in RULES:
        about = explain_rule(corpus, target)
        console.print(f"{target}: {RULES[target].meaning}")
        console.print(f"{plural(about.documents, 'document')} of {plural(about.owners, 'owner')} of sites")
        for id, url, seen in about.first:
            console.print(plain(f"\n{url}  ({id})"))
            _print_seen(console, seen)
        return
    for document in explain_document(corpus, target):
        console.print(plain(document.url + (f"  ({document.id})" if document.id else "")))
        said = document.outcome + (f": {document.reason}" if document.reason else "")
        console.print(plain(said + (f"; {document.later}" if document.later else "")))
        if not document.seen:
            console.print("no rule points at it")
        for seen in document.seen:
            console.print()
            _print_seen(console, seen, rule=True)
        if document.hidden:
            console.print("\nhidden from people, and so left out of the text or never in it:")
        for passage in document.hidden:
            console.print(plain(f"    {passage}"))
        if document.more_hidden:
            console.print(f"    and {plural(document.more_hidden, 'more passage')}")


def _print_seen(console: Console, seen: "Seen", rule: bool = False) -> None:
    if rule:
        console.print(plain(f"{seen.rule} -> {seen.outcome}: {seen.meaning}"))
    outcome = "" if rule else f"{seen.outcome}, "
    shared = "" if seen.hosts is None else f", owners of sites that share it: {seen.hosts:,}"
    places = f", in {seen.places:,} places near each other" if seen.places > 1 else ""
    console.print(f"    {outcome}score {seen.score:.3g}{shared}{places}")
    if seen.evidence:
        console.print(plain(f"    evidence: {seen.evidence}"))
    if seen.span:
        console.print(plain(f"    …{seen.before}⟦{seen.span}⟧{seen.behind}…"))


@app.command(
    short_help="Write the documents that wait for a person.",
    epilog="Example: corpuscle poison held corpus --output held.jsonl",
)
def held(
    corpus: Annotated[str, typer.Argument(help="The folder of a finished run.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="A JSON Lines file to write.")],
    most_per_owner: Annotated[
        int | None, typer.Option(min=1, help="Write at most so many documents of one owner of sites.")
    ] = None,
) -> None:
    """Write the documents that wait for a person, with what was found in them.

    Set "decision" to "release" or "confirm" in the file, name it under `poison: decisions:` in the recipe, and run
    the recipe again: released documents come in as they are, with nothing cut out, confirmed ones are removed, the
    others go on waiting. Where the file is there already, the decisions in it stay.
    """
    from pipeline.poison.held import export_held
    from pipeline.report.numbers import plural

    done = export_held(corpus, str(output), most_per_owner)
    _out().print(f"{plural(done.written, 'held document')} in {output}")
    if done.carried or done.others:
        others = f", and {done.others:,} on others" if done.others else ""
        _out().print(f"kept as they were in it: decisions on {done.carried:,} of them{others}")
    if done.left_out:
        _out().print(
            f"{done.left_out:,} more, of {plural(done.owners_capped, 'owner')} with more than {most_per_owner:,}, "
            f"{'stays' if done.left_out == 1 else 'stay'} held and {'was' if done.left_out == 1 else 'were'} left out "
            "of the file"
        )


@app.command(
    short_help="Look through data for fine-tuning and alignment.",
    epilog="Example: corpuscle poison scan answers.jsonl --clean clean.jsonl",
)
def scan(
    files: Annotated[
        list[Path], typer.Argument(help="JSONL, a JSON array, or Parquet; or folders of these.", metavar="FILE")
    ],
    reference: Annotated[
        list[Path] | None, typer.Option(help="Trusted data of the same kind to compare with; may be repeated.")
    ] = None,
    model: Annotated[Path | None, typer.Option(help="A checkpoint, whose view of the rows is looked at too.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the findings as JSON lines.")] = None,
    clean: Annotated[
        Path | None, typer.Option(help="Write the rows that nothing is held against, of one file; the others beside.")
    ] = None,
    hold: Annotated[
        list[str] | None, typer.Option(help="Hold what this rule finds, too; may be repeated.", metavar="RULE")
    ] = None,
) -> None:
    """Tell what of a file of training data may have been planted: triggers, repeated answers, turned choices.

    A finding is a hint and not a fault: the exit status is 0 whatever is found. What is read stays as it is: an
    option that would write over it is refused.
    """
    try:
        from trainer.scan.command import scan_command
    except ModuleNotFoundError as error:
        if error.name != "wordfreq":
            raise
        says = "error: how often words stand in ordinary text is not installed: pip install 'corpuscle[scan]'"
        Console(stderr=True, markup=False, highlight=False, soft_wrap=True).print(says)
        raise typer.Exit(2) from None

    scan_command(files, reference or (), model, output, clean, Unbroken(markup=False, highlight=False), hold or ())
