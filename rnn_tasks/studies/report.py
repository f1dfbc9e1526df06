"""Write the report of a study: an HTML page, the runs as CSV, and a summary in Markdown."""

import math
import platform
from functools import partial
from pathlib import Path

import pandas as pd
import torch

from rnn_tasks import __version__
from rnn_tasks.printable import printable
from rnn_tasks.report.blocks import Block, Paragraph, Picture, Section, Table
from rnn_tasks.report.page import write_page
from rnn_tasks.runs.files import write_all
from rnn_tasks.studies.pictures import (
    draw_curves,
    draw_grid,
    draw_scores,
    draw_steps_to_solve,
    numeric_axis,
    quantities_of,
    quantity_of,
)
from rnn_tasks.studies.plan import Plan
from rnn_tasks.studies.queue import RunState
from rnn_tasks.studies.ranking import SHOWN, ranked, search_table
from rnn_tasks.studies.results import results_of
from rnn_tasks.studies.suite_report import is_suite, names_of, suite_sections
from rnn_tasks.studies.table import (
    CHANGED,
    as_csv,
    as_markdown,
    groups_of,
    markdown_text,
    run_names,
    solved,
    steps_table,
    summary_table,
)

RUNS, SUMMARY = "runs.csv", "summary.md"

CAPTION = (
    "Each row is a combination of variants, with the median over the seeds and the range. Steps to solve: the first "
    "validation at which the task was solved. An unsolved run counts as more than the steps that it did, so the median "
    "includes it."
)

SEARCH_CAPTION = (
    f"The {SHOWN} runs with the lowest objective, best run first. The objective is computed from the validation alone. "
    "The CSV has all runs."
)

SOLVED_BY = "Optimizer steps to solve by"

CENSORED = "The median over the seeds and the range; > marks runs that were not solved after so many steps."

SAMPLES_CAPTION = "The most likely continuation after the last validation, with the first seed."

SAMPLE_START = "temperature"
"""The word with which the sample of a language model begins."""

CURVES = {
    "val/loss": ("validation loss", True),
    "val/accuracy": ("validation accuracy", False),
    "val/perplexity": ("validation perplexity", False),
    "gradient_norm/before_clipping": ("gradient norm", True),
    "spectral_norm/weight_hh_l0": ("spectral norm", False),
}

MAX_PANELS = 16
"""The largest number of combinations of variants for which curves are drawn."""


def write_study(plan: Plan, runs: pd.DataFrame, folder: Path, command: str) -> Path:
    """Write the report of a study: a page, the runs as CSV, and a summary in Markdown.

    Args:
        plan: The study.
        runs: Its runs.
        folder: The folder of the report.
        command: The command that repeats the study.

    Returns:
        The path of the page.

    Raises:
        OSError: The report cannot be written.
    """
    searched = plan.search is not None
    suite = is_suite(plan)
    runs, caption = (ranked(runs), SEARCH_CAPTION) if searched else (runs, CAPTION)
    columns, body = search_table(runs) if searched else summary_table(runs)
    axis = None if searched or suite or not solved(runs).any() else numeric_axis(plan)
    steps = [] if axis is None else [Table(f"{SOLVED_BY} {axis}. {CENSORED}", *steps_table(plan, runs, axis))]
    samples = samples_section(runs)
    versions, counts = versions_line(runs), counts_line(runs)
    lead = [Paragraph(plan.about), Paragraph(counts), Paragraph(f"{versions}. Made with: {command}")]
    results = Section("summary", "Results", [Table(caption, columns, body)], {"columns": columns, "rows": body})
    compared = sections_of_suite(plan, runs) if suite else []
    sections = [
        *compared,
        Section("steps", "Steps to solve", steps),
        *([] if suite else [results]),
        Section("pictures", "Pictures", [] if searched or suite else pictures(plan, runs)),
        samples,
        failures_section(runs),
    ]
    page = write_page(folder, plan.name, lead, sections, {"plan": {"name": plan.name, "about": plan.about}})
    shown = [block for section in compared for block in section.blocks] or [*steps, *results.blocks, *samples.blocks]
    tables = "\n\n".join(
        f"{as_markdown(block.columns, block.rows)}\n\n{markdown_text(block.caption)}"
        for block in shown
        if isinstance(block, Table)
    )
    name, about, counted, used = map(markdown_text, (plan.name, plan.about, counts, versions))
    text = f"# {name}\n\n{about}\n\n{tables}\n\n{counted}\n\n{used}\n\n    {printable(command)}\n"
    write_all(folder, {RUNS: as_csv(runs).encode(errors="backslashreplace"), SUMMARY: text.encode()})
    return page


def sections_of_suite(plan: Plan, runs: pd.DataFrame) -> list[Section]:
    """Return the sections of the report of a suite.

    Args:
        plan: The suite.
        runs: Its runs.
    """
    results = results_of(plan, runs)
    return suite_sections(results, names_of(plan, results, "layer"), names_of(plan, results, "task"))


def versions_line(runs: pd.DataFrame) -> str:
    """Return the versions with which the runs were done; the current versions if no run has any."""
    current = {"rnn_tasks": __version__, "torch": torch.__version__, "python": platform.python_version()}
    used = [versions for versions in runs["versions"] if versions] or [current]
    names = dict.fromkeys(name for versions in used for name in versions)
    values = {name: sorted({str(versions[name]) for versions in used if name in versions}) for name in names}
    return ", ".join(f"{name} {' and '.join(values[name])}" for name in names)


def counts_line(runs: pd.DataFrame) -> str:
    """Return the number of runs in each state, and which runs must be done again because their settings changed."""
    counts = {state.value: (runs["state"] == state.value).sum() for state in RunState}
    line = f"{len(runs)} runs: " + ", ".join(f"{count} {state}" for state, count in counts.items() if count) + "."
    pending = runs[runs["state"] == RunState.PENDING.value]
    changed = pending[pending["reason"].str.startswith(CHANGED)]
    notes = [f" To do again: {', '.join(run_names(of))} ({reason})." for reason, of in changed.groupby("reason")]
    return line + "".join(notes)


def samples_section(runs: pd.DataFrame) -> Section:
    """Return the last text of a language model for each combination of variants, with the first seed."""
    texts = {group: members["sample"].iloc[0] for group, members in groups_of(runs).items()}
    body = [[*group, sample_line(text)] for group, text in texts.items() if text.startswith(SAMPLE_START)]
    columns = [*runs.index.names[1:-1], "sample"]
    return Section("samples", "Generated text", [Table(SAMPLES_CAPTION, columns, body)] if body else [])


def sample_line(sample: str) -> str:
    r"""Return the most likely continuation in the sample of a language model, on one line.

    Example:
        >>> sample_line("temperature 0\nit has been\n\ntemperature 0.7\nit hax")
        'it has been'
    """
    return " / ".join(sample.split("\n\n")[0].splitlines()[1:])


def failures_section(runs: pd.DataFrame) -> Section:
    """Return the failed runs and the reasons."""
    reasons = runs[runs["state"] == RunState.FAILED.value]["reason"]
    body = [[*map(str, names), reason] for (_, *names), reason in reasons.items()]
    table = Table("The runs without a result, and the reasons.", [*runs.index.names[1:], "reason"], body)
    return Section("failed", "Failed runs", [table] if body else ())


GRIDS = {
    "perplexity": "Test perplexity, or else validation perplexity",
    "loss": "Loss as a share of the baseline loss",
    "seconds": "Training time in seconds",
}


def loss_unit(runs: pd.DataFrame) -> str:
    """Return the unit of the loss as the end of a label; empty if runs have different units."""
    units = {str(baseline.get("unit", "nats")) for baseline in runs["baseline"] if baseline}
    return f", {units.pop()}" if len(units) == 1 else ""


def pictures(plan: Plan, runs: pd.DataFrame) -> list[Block]:
    """Return the pictures that can be drawn from the runs of a study."""
    blocks: list[Block] = []
    axis = numeric_axis(plan)
    values = [] if axis is None else [variant.value or 0 for variant in plan.axes[axis]]
    if axis is not None and min(values) > 0 and solved(runs).any():
        caption = (
            f"Optimizer steps to solve over {axis}, on logarithmic axes. Each mark is a run; lines join the medians. "
            "An open mark is a run that was not solved after so many steps."
        )
        blocks.append(Picture("steps_to_solve", partial(draw_steps_to_solve, plan, runs, axis), caption))
    if len(plan.axes) >= 2:
        for name, quantity in GRIDS.items():
            if name != "perplexity" or quantity_of(runs, name).notna().any():
                caption = f"{quantity}: median over the seeds."
                blocks.append(Picture(f"grid_{name}", partial(draw_grid, plan, runs, name), caption))
    if math.prod(len(variants) for variants in plan.axes.values()) <= MAX_PANELS:
        for name, (label, logarithmic) in CURVES.items():
            if any(name in curves for curves in runs["curves"]):
                caption = (
                    f"{label.capitalize()} over optimizer steps: median and range over the seeds. A run that ended "
                    "earlier counts with its last value."
                )
                unit = loss_unit(runs) if name == "val/loss" else ""
                draw = partial(draw_curves, plan, runs, name, label + unit, logarithmic)
                blocks.append(Picture(name.replace("/", "_"), draw, caption))
        for quantity in quantities_of(runs):
            caption = (
                f"Test scores by {quantity.replace('_', ' ')}: median and range over the seeds, with the baseline and "
                "the scores of other predictors. Lengths outside a shaded range are beyond those of training."
            )
            blocks.append(Picture(f"test_by_{quantity}", partial(draw_scores, plan, runs, quantity), caption))
    return blocks
