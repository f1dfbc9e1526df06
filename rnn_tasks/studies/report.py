"""What a study has found: a page for a browser, CSV and Markdown."""

import math
import platform
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from rnn_tasks import __version__
from rnn_tasks.report.page import Block, Paragraph, Picture, Section, Table, write_all, write_page
from rnn_tasks.studies.pictures import draw_curves, draw_grid, draw_steps_to_solve, figure_of, numeric_axis
from rnn_tasks.studies.plan import Plan
from rnn_tasks.studies.queue import State
from rnn_tasks.studies.ranking import SHOWN, ranked, search_table
from rnn_tasks.studies.table import Row, as_csv, as_markdown, groups_of, steps_table, summary_table

RUNS, SUMMARY = "runs.csv", "summary.md"

CAPTION = (
    "Each row is a combination of variants; figures are medians over its seeds, with their range. Steps to solve: the "
    "first validation that said solved; a run that was not solved counts as more than the steps it did, and is never "
    "averaged away."
)

SEARCH_CAPTION = (
    f"Each row is a run of the search, the best {SHOWN} first by what it made small, which is of the validation alone; "
    "the CSV has all."
)

SOLVED_BY = "Optimizer steps to solve by"

CENSORED = "The median of the seeds, and its range; > is more than the steps that were done."

WRITTEN = "The likeliest continuation after the last validation, with the first seed."

WARM = "temperature"
"""How the sample of a language model begins."""

CURVES = {
    "val/loss": ("validation loss, nats", True),
    "val/accuracy": ("validation accuracy", False),
    "val/perplexity": ("validation perplexity", False),
    "gradient_norm/before_clipping": ("gradient norm", True),
    "spectral_norm/weight_hh_l0": ("spectral norm", False),
}
MOST_FIELDS = 16
"""Curves are drawn of so many combinations at most."""


def write_study(plan: Plan, rows: Sequence[Row], folder: Path, command: str) -> Path:
    """Write what a study has found so far.

    Args:
        plan: The study.
        rows: Its runs.
        folder: Where.
        command: What makes it again.

    Returns:
        The page to open.

    Raises:
        OSError: It cannot be written.
    """
    searched = plan.search is not None
    rows, caption = (ranked(plan, rows), SEARCH_CAPTION) if searched else (rows, CAPTION)
    columns, body = search_table(plan, rows) if searched else summary_table(plan, rows)
    axis = None if searched or not any(row.solved for row in rows) else numeric_axis(plan)
    delays = [] if axis is None else [Table(f"{SOLVED_BY} {axis}. {CENSORED}", *steps_table(plan, rows, axis))]
    samples = written(rows)
    facts = made_by(rows)
    lead: list[Block] = [Paragraph(plan.about), Paragraph(standing(rows)), Paragraph(f"{facts}. Made with: {command}")]
    sections = [
        Section("steps", "Steps to solve", delays),
        Section("summary", "What came of it", [Table(caption, columns, body)], {"columns": columns, "rows": body}),
        Section("pictures", "How it went", [] if searched else pictures(plan, rows)),
        samples,
        failures(rows),
    ]
    page = write_page(folder, plan.name, lead, sections, {"plan": {"name": plan.name, "about": plan.about}})
    blocks = [block for block in (*delays, *sections[1].blocks, *samples.blocks) if isinstance(block, Table)]
    tables = "\n\n".join(f"{as_markdown(block.columns, block.rows)}\n\n{block.caption}" for block in blocks)
    text = f"# {plan.name}\n\n{plan.about}\n\n{tables}\n\n{standing(rows)}\n\n{facts}\n\n    {command}\n"
    write_all(folder, {RUNS: as_csv(plan, rows).encode(), SUMMARY: text.encode()})
    return page


def made_by(rows: Sequence[Row]) -> str:
    """The versions with which the runs were made, several where they differ, or those of now where there is none."""
    now = {"rnn_tasks": __version__, "torch": torch.__version__, "python": platform.python_version()}
    known = [row.result["versions"] for row in rows if row.result.get("versions")] or [now]
    names = dict.fromkeys(name for versions in known for name in versions)
    values = {name: sorted({str(versions[name]) for versions in known if name in versions}) for name in names}
    return ", ".join(f"{name} {' and '.join(of)}" for name, of in values.items())


def standing(rows: Sequence[Row]) -> str:
    """How many runs are done, and how many not."""
    counts = {state: sum(row.state is state for row in rows) for state in State}
    return f"{len(rows)} runs: " + ", ".join(f"{count} {state.value}" for state, count in counts.items() if count) + "."


def written(rows: Sequence[Row]) -> Section:
    """What language models wrote in the end, of each combination of variants that with its first seed."""
    first = [of[0] for of in groups_of(rows).values() if str(of[0].result.get("sample", "")).startswith(WARM)]
    names = list(rows[0].cell.variants)
    body = [[*row.cell.group, sample_line(row.result["sample"])] for row in first]
    return Section("samples", "What they write", [Table(WRITTEN, [*names, "sample"], body)] if body else [])


def sample_line(sample: str) -> str:
    r"""The likeliest continuation, out of the sample of a language model, in one line.

    Example:
        >>> sample_line("temperature 0\nit has been\n\ntemperature 0.7\nit hax")
        'it has been'
    """
    return " / ".join(sample.split("\n\n")[0].splitlines()[1:])


def failures(rows: Sequence[Row]) -> Section:
    """The runs that failed, with their reasons."""
    failed = [[*row.cell.group, str(row.cell.seed), row.reason] for row in rows if row.state is State.FAILED]
    if not failed:
        return Section("failed", "Failed runs", ())
    names = list(rows[0].cell.variants)
    return Section("failed", "Failed runs", [Table("Why runs have no result.", [*names, "seed", "reason"], failed)])


GRIDS = {
    "perplexity": "Perplexity in the test, or else in the validation",
    "loss": "Loss as a share of the baseline",
    "seconds": "Seconds of training",
}


def pictures(plan: Plan, rows: Sequence[Row]) -> list[Block]:
    """What can be drawn of a study."""
    blocks: list[Block] = []
    axis = numeric_axis(plan)
    values = [] if axis is None else [variant.value or 0 for variant in plan.axes[axis]]
    if axis is not None and min(values) > 0 and any(row.solved for row in rows):
        caption = (
            f"Optimizer steps to solve over {axis}, both logarithmic: a mark a run, the line through the medians. "
        )
        caption += "An open mark was not solved after so many steps."
        blocks.append(Picture("steps_to_solve", partial(draw_steps_to_solve, plan, rows, axis), caption))
    if len(plan.axes) >= 2:
        for of, what in GRIDS.items():
            if of != "perplexity" or any(figure_of(row, of) is not None for row in rows):
                blocks.append(
                    Picture(f"grid_{of}", partial(draw_grid, plan, rows, of), f"{what}, median of the seeds.")
                )
    if math.prod(len(variants) for variants in plan.axes.values()) <= MOST_FIELDS:
        for name, (label, logarithmic) in CURVES.items():
            if any(name in row.result.get("curves", {}) for row in rows):
                caption = f"{label.capitalize()} over optimizer steps: median and range of the seeds. A run that has "
                caption += "ended counts with its last value."
                draw = partial(draw_curves, plan, rows, name, label, logarithmic)
                blocks.append(Picture(name.replace("/", "_"), draw, caption))
    return blocks
