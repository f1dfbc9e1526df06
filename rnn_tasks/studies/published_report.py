"""Write published results beside our values: as text, as CSV, and as a page."""

import math
import platform
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch

from rnn_tasks import __version__
from rnn_tasks.report.blocks import Paragraph, Section, Table
from rnn_tasks.report.page import write_page
from rnn_tasks.runs.files import write_all
from rnn_tasks.studies.published import Comparison, Published, PublishedResult, Verdict
from rnn_tasks.studies.published_values import compare_with_runs
from rnn_tasks.studies.queue import TIMING
from rnn_tasks.studies.report import RUNS, counts_line, failures_section
from rnn_tasks.studies.table import as_csv, as_markdown, csv_text, markdown_text, read_runs, summary_table
from rnn_tasks.studies.worker import work_on

COLUMNS = ["result", "what", "published", "ours", "difference", "tolerance", "verdict", "source"]

CAPTION = (
    'Published: a value or a range; where the source begins with "not published", it is our own count, our run of '
    "published code, or what an exercise requires. Ours: the median over seeds, with the range; without a range, the "
    "value of seed 0. Difference: ours minus the published value, or minus the nearer end of the published range. "
    "Tolerances were set from the spread of earlier seeds, so they are not independent of our results."
)


class Reproduction(NamedTuple):
    """The outcome of :func:`reproduce_results`.

    Attributes:
        text: The table of the results to show, in Markdown.
        page: The path of the page with all results.
        all_done: Whether every chosen run is done, and none has failed.
    """

    text: str
    page: Path
    all_done: bool


def reproduce_results(
    published: Published,
    chosen: Sequence[PublishedResult],
    shown: Sequence[PublishedResult],
    folder: Path,
    jobs: int,
    retry_failed: bool,
) -> Reproduction:
    """Do the pending runs of published results, and compare all results with our values.

    Args:
        published: All published results.
        chosen: The results whose runs are done.
        shown: The results that the text shows.
        folder: The folder of the study, which must exist.
        jobs: The number of runs at a time.
        retry_failed: Whether to retry failed runs from scratch.

    Raises:
        UsageError: The database cannot be opened, or fails.
        OSError: A file cannot be written.
    """
    url = f"sqlite:///{folder / 'study.db'}"
    names = {result.run for result in chosen if result.run is not None}
    all_done = not names or work_on(published.plan(names), url, folder / "runs", jobs, retry_failed)
    runs = read_runs(published.plan(published.costs), url, TIMING.patience)
    comparisons = [compare_with_runs(result, published, runs, folder / "runs") for result in published.results]
    page = write_results(published, comparisons, runs, folder / "report")
    return Reproduction(as_text([one for one in comparisons if one.result in shown]), page, all_done)


def table_of(comparisons: Sequence[Comparison]) -> tuple[list[str], list[list[str]]]:
    """Return column names, and a row for each result.

    Args:
        comparisons: The results.
    """
    body = []
    for one in comparisons:
        result, difference = one.result, "-"
        if one.difference is not None:
            difference = "never" if math.isinf(one.difference) else f"{one.difference:+z,.{result.decimals}f}"
        compared = [result.published, one.ours, difference, str(result.tolerance), one.verdict.value]
        body.append([result.name, result.what, *compared, result.source])
    return [*COLUMNS], body


def notes_of(comparisons: Sequence[Comparison]) -> list[list[str]]:
    """Return the names, verdict and note of results with a note; results with equal verdict and note share a row.

    Args:
        comparisons: The results.
    """
    names: dict[tuple[str, str], list[str]] = {}
    for one in comparisons:
        if one.note:
            names.setdefault((one.verdict.value, one.note), []).append(one.result.name)
    return [[", ".join(results), verdict, note] for (verdict, note), results in names.items()]


def count_of(comparisons: Sequence[Comparison]) -> str:
    """Return the number of results with each verdict, separately for results that are published and that are not.

    Args:
        comparisons: The results.
    """
    sentences = []
    for kind, is_published in (("published", True), ("unpublished", False)):
        verdicts = [one.verdict for one in comparisons if one.result.is_published is is_published]
        counts = {verdict: verdicts.count(verdict) for verdict in Verdict}
        parts = ", ".join(f"{count} {verdict.value}" for verdict, count in counts.items() if count)
        if parts:
            sentences.append(f"{len(verdicts)} {kind} result{'' if len(verdicts) == 1 else 's'}: {parts}.")
    return " ".join(sentences)


def as_text(comparisons: Sequence[Comparison]) -> str:
    """Return the table of the results with its notes, in Markdown.

    Args:
        comparisons: The results.
    """
    notes = [f"- {names}: {verdict}: {markdown_text(note)}" for names, verdict, note in notes_of(comparisons)]
    return "\n".join([as_markdown(*table_of(comparisons)), "", CAPTION, "", count_of(comparisons), "", *notes]).rstrip()


def results_csv(comparisons: Sequence[Comparison]) -> str:
    """Return one row per result, with unrounded numbers; ``ours`` is the median of ``values``.

    Args:
        comparisons: The results.
    """
    records = [
        {
            "result": one.result.name,
            "what": one.result.what,
            "low": one.result.low,
            "high": one.result.high,
            "ours": statistics.median(one.values) if one.values else None,
            "values": " ".join(str(value) for value in one.values),
            "difference": one.difference,
            "tolerance": one.result.tolerance,
            "verdict": one.verdict.value,
            "note": one.note,
            "source": one.result.source,
        }
        for one in comparisons
    ]
    return csv_text(pd.DataFrame(records, dtype=object), index=False)


def write_results(published: Published, comparisons: Sequence[Comparison], runs: pd.DataFrame, folder: Path) -> Path:
    """Write the results as a page, as Markdown and as CSV, and the runs as CSV.

    Args:
        published: All published results.
        comparisons: All results beside our values.
        runs: All runs.
        folder: The folder of the report.

    Returns:
        The path of the page.

    Raises:
        OSError: A file cannot be written.
    """
    columns, body = table_of(comparisons)
    notes = notes_of(comparisons)
    facts = (
        f"rnn_tasks {__version__}, torch {torch.__version__}, Python {platform.python_version()}, "
        f"{platform.machine()}. Made with: rnn-tasks reproduce"
    )
    why = Table("Reasons, and commands for the results that were not run.", ["result", "verdict", "note"], notes)
    sections = [
        Section(
            "results", "Published results and ours", [Table(CAPTION, columns, body)], {"columns": columns, "rows": body}
        ),
        Section("notes", "Notes", [why] if notes else ()),
        Section("runs", "Runs", [Table(counts_line(runs), *summary_table(runs))]),
        failures_section(runs),
    ]
    about = published.study.about
    lead = [Paragraph(f"{about} {count_of(comparisons)}"), Paragraph(facts)]
    page = write_page(folder, "Published results", lead, sections, {})
    text = f"# Published results\n\n{about}\n\n{as_text(comparisons)}\n\n{facts}\n"
    files = {"results.csv": results_csv(comparisons), "results.md": text, RUNS: as_csv(runs)}
    write_all(folder, {name: content.encode(errors="backslashreplace") for name, content in files.items()})
    return page
