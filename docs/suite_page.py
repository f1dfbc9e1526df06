"""Write suite_results.md and its pictures from results/*.csv: ``python docs/suite_page.py``."""

import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from rnn_tasks.plots.images import as_png
from rnn_tasks.plots.style import WIDE
from rnn_tasks.report.blocks import Paragraph, Picture, Section, Table
from rnn_tasks.studies.plan_file import read_plan
from rnn_tasks.studies.suite_report import suite_sections
from rnn_tasks.studies.table import as_markdown

DOCS = Path(__file__).parent
RESULTS = DOCS.parent / "results"
PAGE = DOCS / "suite_results.md"

CORE, FURTHER, BLOCKS, SCALING = (
    read_plan(name) for name in ("memory_suite_core", "memory_suite_further", "memory_suite_blocks", "suite_scaling")
)

THEORY_ROWS = {
    "RNN (tanh)": ["rnn", "rnn_orthogonal", "qr_rnn", "gru", "gru_chrono"],
    "RNN (ReLU)": ["irnn", "lstm", "lstm_chrono"],
    "RNN without activation": ["linear_qr"],
    "SLSTM": ["slstm"],
    "StackRNN": ["stack_rnn"],
    "LEM": ["lem"],
    "IndRNN": ["indrnn"],
    "MinGRU": ["mingru"],
    "RGLRU": ["rglru"],
    "S6": ["s6"],
    "LRU": ["lru", "s4d"],
    "MLSTM": ["mlstm"],
    "DeltaNet, beta up to 1": ["deltanet"],
}
"""How the rows of the table of theory in layers.md begin, and which layers of the suite they are about."""

THEORY_COLUMNS = {"count (a^n b^n)": "counting", "parity": "parity", "cycle of n > 2": "cycle", "S3": "s3"}
"""Columns of that table, and the task of the suite that they are about."""

LEAD = """# Results of the memory suite, version 1

Which recurrent layer remembers what, for how long, at what cost? This page has every run of
[the memory suite](suite.md), which says how the runs were made and what they do not show.
`python docs/suite_page.py` writes it from {sources}.

{count}
"""

HEADINGS = {
    "core": "Core tasks",
    "further": "Further tasks",
    "scaling": "Harder sizes of four tasks",
}


def theory() -> dict[tuple[str, str], str]:
    """Return what layers.md says about a layer and a task of the suite, by their names."""
    rows = [line.strip("| ").split(" | ") for line in (DOCS / "layers.md").read_text().splitlines() if line[:1] == "|"]
    header = next(row for row in rows if set(THEORY_COLUMNS) <= set(row))
    found = {}
    for row in rows:
        for beginning, layers in THEORY_ROWS.items():
            if len(row) == len(header) and row[0].startswith(beginning):
                cells = dict(zip(header, row, strict=True))
                found.update({(layer, task): cells[name] for layer in layers for name, task in THEORY_COLUMNS.items()})
    missing = {layer for layers in THEORY_ROWS.values() for layer in layers} - {layer for layer, _ in found}
    if missing:
        raise ValueError(f"layers.md has no row of theory for {', '.join(sorted(missing))}")
    return found


def parts() -> Iterator[tuple[str, list[Section]]]:
    """Yield each part of the page and its sections."""
    suite = pd.read_csv(RESULTS / "memory_suite_1.csv")
    core, further = ([variant.name for variant in plan.axes["task"]] for plan in (CORE, FURTHER))
    layers = [variant.name for plan in (CORE, BLOCKS) for variant in plan.axes["layer"]]
    final = suite[suite["stage"] == "final"]
    for name, tasks, plan in (("core", core, CORE), ("further", further, FURTHER)):
        whole = len(plan.axes["layer"]) * len(plan.seeds)
        done = [task for task in tasks if (final["task"] == task).sum() >= whole]
        shown = [layer for layer in layers if layer in set(final[final["task"].isin(done)]["layer"])]
        if done:
            yield name, suite_sections(suite, shown, done, theory())
    if (RESULTS / "suite_scaling_1.csv").is_file():
        scaling = pd.read_csv(RESULTS / "suite_scaling_1.csv")
        tasks, layers = ([variant.name for variant in SCALING.axes[axis]] for axis in ("task", "layer"))
        yield "scaling", suite_sections(scaling, layers, tasks, theory())


def markdown(part: str, section: Section, pictures: dict[str, Picture], captions: set[str]) -> str:
    """Return a section as Markdown. A caption that stands above is not repeated.

    Args:
        part: The name of the part.
        section: The section.
        pictures: The pictures by the names of their files; this function adds those of the section.
        captions: The captions so far; this function adds those of the section.
    """
    text = [f"### {section.title}" if section.key != "matrix" else ""]
    for block in section.blocks:
        if isinstance(block, Picture):
            file = f"suite_{part}_{block.name}.png"
            pictures[file] = block
            text.append(f"![{section.title}](pictures/{file})")
        elif isinstance(block, Table):
            text.append(as_markdown(block.columns, block.rows))
        elif isinstance(block, Paragraph):
            text.append(block.text)
        caption = "" if isinstance(block, Paragraph) else block.caption
        text.append("" if caption in captions else caption)
        captions.add(caption)
    return "\n\n".join(filter(None, text))


def page() -> tuple[str, dict[str, Picture]]:
    """Return the text of the page, and its pictures by the names of their files."""
    pictures: dict[str, Picture] = {}
    captions: set[str] = set()
    sources = sorted(path for path in RESULTS.glob("*.csv"))
    links = ", ".join(f"[{path.name}](../results/{path.name})" for path in sources)
    rows = pd.concat([pd.read_csv(path) for path in sources if "_cost" not in path.name])
    texts = [LEAD.format(sources=links, count=count_text(rows))]
    for part, sections in parts():
        body = [markdown(part, section, pictures, captions) for section in sections]
        texts.append("\n\n".join([f"## {HEADINGS[part]}", *body]))
    return re.sub(r"\n{3,}", "\n\n", "\n\n".join(texts)) + "\n", pictures


def count_text(rows: pd.DataFrame) -> str:
    """Return how many runs there are, and with what they were made.

    Args:
        rows: All rows.
    """
    counts = rows["stage"].value_counts()
    used = [" and ".join(sorted(set(rows[name]))) for name in ("rnn_tasks", "torch", "machine")]
    hours = rows["seconds"].sum() / 3600
    return (
        f"{counts.get('final', 0):,} runs with the chosen setting and {counts.get('tune', 0):,} runs to choose it: "
        f"{hours:.1f} hours of training, one thread each; rnn_tasks {used[0]}, torch {used[1]}, {used[2]}."
    )


if __name__ == "__main__":
    text, pictures = page()
    PAGE.write_text(text)
    for name, picture in pictures.items():
        (DOCS / "pictures" / name).write_bytes(as_png(picture.draw(WIDE)))
