"""Write the report of one or several runs."""

import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits

from rnn_tasks import __version__
from rnn_tasks.report.answers import labelled
from rnn_tasks.report.blocks import Paragraph, Section, Table
from rnn_tasks.report.gradient_flow import gradient_flow_section
from rnn_tasks.report.hidden_states import hidden_states_section
from rnn_tasks.report.learning import learning_section
from rnn_tasks.report.memory import memory_section
from rnn_tasks.report.page import write_page
from rnn_tasks.report.run_data import RunData, load_runs, run_facts
from rnn_tasks.report.weights import weights_section
from rnn_tasks.runs.files import require_writable
from rnn_tasks.runs.find import RunLocation

MakeSection = Callable[[Sequence[RunData]], Section]
SECTIONS: tuple[MakeSection, ...] = (
    learning_section,
    memory_section,
    gradient_flow_section,
    weights_section,
    hidden_states_section,
)
"""The sections in the order of the page."""


def write_report(
    places: Sequence[RunLocation], folder: Path, sections: Sequence[MakeSection] = SECTIONS, trust: bool = False
) -> Path:
    """Analyze runs and write the report. Print the time of each finished section.

    Args:
        places: The run folders or checkpoints, at least one.
        folder: The folder of the report, created if it does not exist.
        sections: The functions that make the sections, in the order of the page.
        trust: Whether the config of a run may name classes of packages other than rnn_tasks, torch and lightning.

    Returns:
        The path of the page.

    Raises:
        UsageError: A run is broken or needs trust, or the runs are of different tasks.
        OSError: The folder cannot be written to.
    """
    runs = load_runs(places, trust)
    require_writable(folder)  # fail before the long computations
    finished = []
    with one_thread():
        for section in sections:
            start = time.perf_counter()
            finished.append(section(runs))
            print(f"{finished[-1].title}  {time.perf_counter() - start:.1f} s", flush=True)
    missing = [labelled(runs, run, line) for run in runs for line in run.missing]
    if missing:
        title = "Missing data of this run" if len(runs) == 1 else "Missing data of these runs"
        finished.append(Section("missing", title, (), {"lines": missing}, missing))
    task = runs[0].task_name
    title = f"{task}: {'analysis of a trained network' if len(runs) == 1 else f'{len(runs)} networks compared'}"
    start = time.perf_counter()
    page = write_page(folder, title, [overview(runs), how_to_explore(runs)], finished, numbers(runs))
    print(f"Pictures  {time.perf_counter() - start:.1f} s", flush=True)
    return page


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute in one thread: for small matrices, several threads spend most of the time waiting for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(threads)


def overview(runs: Sequence[RunData]) -> Table:
    """Return a table of the runs with a column for each run."""
    facts = [run_facts(run) for run in runs]
    rows = [[name, *(dict(of_run)[name] for of_run in facts)] for name, _ in facts[0]]
    names = [run.label for run in runs] if len(runs) > 1 else [""]
    caption = (
        "All measurements below use the weights of this checkpoint. The test results are those of best.ckpt, the "
        "weights with the lowest validation loss."
    )
    return Table(caption, ["", *names], rows)


def how_to_explore(runs: Sequence[RunData]) -> Paragraph:
    """Return the command that writes a page on which the networks of the first two runs can be used."""
    folders = " ".join(shlex.quote(str(run.folder)) for run in runs[:2])
    return Paragraph(
        "To type inputs, step through time and change the network in a browser, write another page: "
        f"rnn-tasks explore {folders}"
    )


def numbers(runs: Sequence[RunData]) -> dict[str, object]:
    """Return the numbers about the runs and the software."""
    return {
        "versions": {"rnn_tasks": __version__, "torch": torch.__version__},
        "runs": [
            {
                "label": run.label,
                "folder": str(run.folder),
                "checkpoint": run.checkpoint.name,
                "network": run.core,
                "summary": run.summary,
            }
            for run in runs
        ],
    }
