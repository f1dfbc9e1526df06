"""Write a report: its runs, its sections, its files."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits

from rnn_tasks import __version__
from rnn_tasks.report.blocks import Section, Table
from rnn_tasks.report.gradient_flow import gradient_flow_section
from rnn_tasks.report.hidden_states import hidden_states_section
from rnn_tasks.report.learning import learning_section
from rnn_tasks.report.memory import memory_section
from rnn_tasks.report.page import write_page
from rnn_tasks.report.run_data import RunData, load_runs
from rnn_tasks.report.weights import weights_section
from rnn_tasks.runs.files import require_writable
from rnn_tasks.runs.find import RunPlace

MakeSection = Callable[[Sequence[RunData]], Section]
SECTIONS: tuple[MakeSection, ...] = (
    learning_section,
    memory_section,
    gradient_flow_section,
    weights_section,
    hidden_states_section,
)
"""In the order in which a person asks."""


def write_report(places: Sequence[RunPlace], folder: Path, sections: Sequence[MakeSection] = SECTIONS) -> Path:
    """Analyze runs and write the report; each finished section is printed, since some take a while.

    Args:
        places: The runs, at least one.
        folder: Where the report goes; it is made if it is not there.
        sections: Functions that make the sections of the report, in their order.

    Returns:
        The page to open.

    Raises:
        UsageError: A run is broken, or they do not belong side by side.
        OSError: The folder cannot be written to.
    """
    runs = load_runs(places)
    require_writable(folder)  # before the work
    finished = []
    with one_thread():
        for section in sections:
            start = time.perf_counter()
            finished.append(section(runs))
            print(f"{finished[-1].title}  {time.perf_counter() - start:.1f} s", flush=True)
    missing = [f"{run.label}: {line}" if len(runs) > 1 else line for run in runs for line in run.missing]
    if missing:
        title = "What this run does not have" if len(runs) == 1 else "What these runs do not have"
        finished.append(Section("missing", title, (), {"lines": missing}, missing))
    task = runs[0].task_name
    what = "what the network remembers" if len(runs) == 1 else f"{len(runs)} networks compared"
    start = time.perf_counter()
    page = write_page(folder, f"{task}: {what}", [overview(runs)], finished, numbers(runs))
    print(f"Pictures  {time.perf_counter() - start:.1f} s", flush=True)
    return page


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute in one thread: matrices are small, and threads that wait for one another take many times as long."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(threads)


def overview(runs: Sequence[RunData]) -> Table:
    """Return a table of the runs, a column each."""

    def said(run: RunData, name: str) -> str:
        value = run.summary.get(name)
        return "-" if value is None else f"{value:,}" if isinstance(value, int) else str(value)

    rows = [
        ["verdict", *(said(run, "verdict").replace("_", " ") for run in runs)],
        ["network", *(run.core for run in runs)],
        ["units", *(f"{run.network.core.hidden_size:,}" for run in runs)],
        ["parameters", *(f"{sum(p.numel() for p in run.network.parameters()):,}" for run in runs)],
        ["optimizer steps", *(said(run, "steps") for run in runs)],
        ["solved at step", *(said(run, "solved_at") for run in runs)],
        ["seed", *(said(run, "seed") for run in runs)],
        ["run folder", *(run.folder.resolve().name for run in runs)],
        ["weights", *(run.checkpoint.name for run in runs)],
    ]
    names = [run.label for run in runs] if len(runs) > 1 else [""]
    caption = (
        "What follows was measured on these weights; best.ckpt has those with the lowest validation loss, and the "
        "figures of the test are theirs."
    )
    return Table(caption, ["", *names], rows)


def numbers(runs: Sequence[RunData]) -> dict[str, object]:
    """Return the numbers of the whole report."""
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
