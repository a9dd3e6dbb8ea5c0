"""The report that people open in a browser: one self-contained page about a finished corpus."""

from pipeline.artifact import atomic
from pipeline.report.tables import ReportError

__all__ = ["PAGE", "ReportError", "write_report"]

PAGE = "report.html"


def write_report(corpus: str, training: str | None = None) -> str:
    """Write `<corpus>/report.html` and return its path.

    `training` is a folder with the trainer's log.jsonl, whose loss curve the report then shows.
    Raises ReportError where there is no finished corpus, or no log.
    """
    # Here, since what is gathered imports modules that read corpora through this package.
    from pipeline.report.gather import gather
    from pipeline.report.page import render

    page = render(gather(corpus, training))
    path = f"{corpus.rstrip('/')}/{PAGE}"
    with atomic(path) as file:
        file.write(page.encode())
    return path
