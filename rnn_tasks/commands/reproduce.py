"""``rnn-tasks reproduce``: published figures beside ours."""

import contextlib
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rnn_tasks.commands.parser import OneLineParser
from rnn_tasks.commands.study import STUDIES
from rnn_tasks.errors import UsageError, require

if TYPE_CHECKING:
    from rnn_tasks.studies.published import Comparison, Figure, Published
    from rnn_tasks.studies.table import Row

WRITTEN, TEMPERATURE = 20_000, 0.5
"""Characters that a network writes for its share of words that exist, and how it draws them."""


def reproduce(words: list[str]) -> None:
    """Do the runs of published figures that are not done yet, and print these figures beside ours.

    Args:
        words: The words after ``reproduce``.

    Raises:
        UsageError: No such figure, or a database that cannot be opened.
        SystemExit: With status 1 if a run has failed; not if a figure is outside its tolerance.
    """
    parser = OneLineParser("rnn-tasks reproduce", description="Published figures beside ours; resumable.")
    parser.add_argument("name", nargs="*", help="figures or runs; without any, those whose runs are not dear")
    parser.add_argument("--all", action="store_true", help="the dear runs too")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time (1)")
    parser.add_argument("--retry-failed", action="store_true", help="do failed runs again, from the beginning")
    parser.add_argument("--list", action="store_true", help="only say which figures there are")
    given = parser.parse_args(words)
    require(given.jobs >= 1, "jobs must be at least 1")
    require(not (given.all and given.name), "give names or --all, not both")

    from rnn_tasks.studies.published import FIGURES, NAME, read_figures

    published = read_figures(FIGURES)
    chosen = published.chosen(given.name, given.all or given.list)
    if given.list:
        print("\n".join(lines_of(published, chosen)))
        return
    folder = STUDIES / NAME
    folder.mkdir(parents=True, exist_ok=True)
    address = f"sqlite:///{folder / 'study.db'}"

    from rnn_tasks.studies.queue import Ledger
    from rnn_tasks.studies.table import as_markdown, rows_of
    from rnn_tasks.studies.worker import work_on

    runs = {figure.run for figure in chosen if figure.run is not None}
    good = not runs or work_on(published.plan(runs), address, folder / "runs", given.jobs, given.retry_failed)
    plan = published.plan(published.efforts)
    with contextlib.closing(Ledger(plan, address)) as ledger:
        rows = rows_of(plan, ledger.states(), ledger.results())
    comparisons = [compared(figure, published, rows, folder / "runs") for figure in published.figures]
    page = write_figures(published, comparisons, rows, folder / "report")
    shown = [one for one in comparisons if not given.name or one.figure in chosen]
    print(as_text(shown, as_markdown))
    print(f"\nopen {page}")
    if not good:
        sys.exit(1)


def lines_of(published: "Published", figures: "Sequence[Figure]") -> list[str]:
    """What there is to reproduce, a line a figure, and what it costs.

    Args:
        published: All figures.
        figures: Those that are listed.
    """
    lines = []
    for figure in figures:
        effort = None if figure.run is None else published.efforts[figure.run]
        cost = "at once" if effort is None else f"{effort.time} ({figure.run})"
        if effort is not None and effort.dear:
            cost += ", with --all or by name"
        lines.append(f"{figure.name}  {figure.what}: {figure.published}  {figure.source}  {cost}")
    usual = [effort for effort in published.efforts.values() if not effort.dear]
    total = math.ceil(sum(effort.total for effort in usual) / 2)
    return [*lines, f"about {total} min with --jobs 2 on two cores, without the dear ones"]


def compared(figure: "Figure", published: "Published", rows: "Sequence[Row]", folder: Path) -> "Comparison":
    """A published figure beside ours, as far as its run is done.

    Args:
        figure: The figure.
        published: All of them.
        rows: All runs.
        folder: Where the run folders are.
    """
    from rnn_tasks.studies.published import Comparison, Verdict, compare, run_of
    from rnn_tasks.studies.queue import State

    if figure.run is None:
        try:
            return compare(figure, [COMPUTED[figure.of]()])
        except UsageError as error:
            return Comparison(figure, Verdict.NOT_RUN, (), str(error))
    own = [row for row in rows if run_of(row.cell) == figure.run]
    reasons = [row.reason for row in own if row.state is State.FAILED]
    if reasons:
        return Comparison(figure, Verdict.FAILED, (), f"{reasons[0]} (once more: --retry-failed)")
    done = [row for row in own if row.state is State.DONE]
    if len(done) < len(own):
        part = f", {len(done)} of {len(own)} seeds are done" if done else ""
        note = f"rnn-tasks reproduce {figure.run} ({published.efforts[figure.run].time}{part})"
        return Comparison(figure, Verdict.NOT_RUN, (), note)
    try:
        return compare(figure, [value_of(figure, row, folder / row.cell.name) for row in done])
    except UsageError as error:
        return Comparison(figure, Verdict.FAILED, (), str(error))


def value_of(figure: "Figure", row: "Row", place: Path) -> float:
    """Our value of a figure in a run that is done.

    Args:
        figure: The figure.
        row: The run.
        place: Its folder.

    Raises:
        UsageError: The run does not have it.
    """
    from rnn_tasks.studies.published import metric_of

    if figure.way == "function":
        return MEASURED[figure.of](place)
    value = metric_of(row, figure.of) if figure.way == "metric" else last_of_curve(place, figure.of)
    if value is None:
        raise UsageError(f"{place} has no {figure.of}")
    return value


def last_of_curve(place: Path, name: str) -> float | None:
    """The last value of a curve that a run has logged; None without such a curve.

    Args:
        place: The run folder.
        name: Such as ``spectral_radius/weight_hh_l0``.
    """
    from rnn_tasks.report.run_data import read_curves

    curve = read_curves(place).get(name) if place.is_dir() else None
    return None if curve is None else float(curve.values[-1])


def as_text(comparisons: "Sequence[Comparison]", as_markdown: Callable[..., str]) -> str:
    """The table and what is to be said of it, in Markdown.

    Args:
        comparisons: The figures.
        as_markdown: Writes a table.
    """
    from rnn_tasks.studies.published import count_of, notes_of, table_of

    notes = [f"- {names}: {verdict}: {note}" for names, verdict, note in notes_of(comparisons)]
    return "\n".join([as_markdown(*table_of(comparisons)), "", CAPTION, "", count_of(comparisons), "", *notes]).rstrip()


CAPTION = (
    "Published: a value, or its range. Ours: the median over seeds, with their range; where there is no range, seed 0 "
    "alone. Difference: ours less the published value, or less the nearer end of its range. Tolerances were stated "
    "before the runs."
)


def write_figures(
    published: "Published", comparisons: "Sequence[Comparison]", rows: "Sequence[Row]", folder: Path
) -> Path:
    """Write the table as a page, as Markdown and as CSV, and the runs behind it.

    Args:
        published: All figures.
        comparisons: All figures beside ours.
        rows: All runs.
        folder: Where.

    Returns:
        The page to open.

    Raises:
        OSError: It cannot be written.
    """
    import platform

    import torch

    from rnn_tasks import __version__
    from rnn_tasks.report.page import Paragraph, Section, Table, write_all, write_page
    from rnn_tasks.studies import published as publishing
    from rnn_tasks.studies import table
    from rnn_tasks.studies.report import failures, standing

    plan = published.plan(published.efforts)
    columns, body = publishing.table_of(comparisons)
    notes = publishing.notes_of(comparisons)
    run_columns, run_body = table.summary_table(plan, rows)
    facts = (
        f"rnn_tasks {__version__}, torch {torch.__version__}, Python {platform.python_version()}, "
        f"{platform.machine()}. Made with: rnn-tasks reproduce"
    )
    why = Table("Why a figure is outside or has failed, or what runs it.", ["figure", "verdict", "note"], notes)
    sections = [
        Section("figures", "Published and ours", [Table(CAPTION, columns, body)], {"columns": columns, "rows": body}),
        Section("notes", "Why, and how", [why] if notes else ()),
        Section("runs", "The runs", [Table(standing(rows), run_columns, run_body)]),
        failures(rows),
    ]
    lead = [Paragraph(f"{plan.about} {publishing.count_of(comparisons)}"), Paragraph(facts)]
    page = write_page(folder, "Published figures", lead, sections, {})
    text = f"# Published figures\n\n{plan.about}\n\n{as_text(comparisons, table.as_markdown)}\n\n{facts}\n"
    files = {"figures.csv": publishing.as_csv(comparisons), "figures.md": text, "runs.csv": table.as_csv(plan, rows)}
    write_all(folder, {name: content.encode() for name, content in files.items()})
    return page


def ngram_of_windows() -> float:
    """The validation perplexity of the best n-gram in the ``windows`` protocol, which is a 4-gram.

    Raises:
        UsageError: The book is not there.
    """
    from rnn_tasks.tasks import TimeMachine

    task = TimeMachine("windows", sequence_length=32)
    task.prepare_data()
    return math.exp(task.baseline_on("val").loss)


def reservoir_memory_capacity() -> float:
    """Our memory capacity of the reservoir in reservoirpy's documentation: 100 units, spectral radius 1, lags to 50.

    Of its 500 inputs, reservoirpy does not show the first 50 to the reservoir, fits from the 101st, and scores the
    last 100.

    Raises:
        UsageError: reservoirpy is not installed.
    """
    try:
        from reservoirpy.nodes import Reservoir
    except ImportError as error:
        raise UsageError("it needs reservoirpy: pip install reservoirpy") from error
    import numpy as np

    from rnn_tasks.analysis.memory import memory_capacity

    inputs = np.random.default_rng(1).uniform(-0.8, 0.8, 500)[50:]
    states = Reservoir(100, sr=1, seed=1).run(inputs[:, None])
    return memory_capacity(states, inputs, 50, ridge=1e-4, test_share=100 / 400).total


def lexicon_share(place: Path) -> float:
    """The share of the words of Elman's grammar among those that a network writes with its last weights.

    Args:
        place: The run folder.

    Raises:
        UsageError: The run has no weights, or not of a language model.
    """
    from rnn_tasks.models import LanguageModel
    from rnn_tasks.models.loading import load_model
    from rnn_tasks.runs.files import CHECKPOINTS, LAST
    from rnn_tasks.runs.find import RunPlace
    from rnn_tasks.texts.grammar import ELMAN

    model = load_model(RunPlace(place, place / CHECKPOINTS / LAST))
    if not isinstance(model, LanguageModel) or model.spec.vocabulary is None:
        raise UsageError(f"the network of {place} does not write text")
    return ELMAN.lexicon_share(model.generate(model.spec.vocabulary.prefix, WRITTEN, TEMPERATURE, seed=0))


COMPUTED: dict[str, Callable[[], float]] = {
    "ngram_of_windows": ngram_of_windows,
    "reservoir_memory_capacity": reservoir_memory_capacity,
}
"""Functions of figures without a run."""

MEASURED: dict[str, Callable[[Path], float]] = {"lexicon_share": lexicon_share}
"""Functions of figures with a run, of its folder."""
