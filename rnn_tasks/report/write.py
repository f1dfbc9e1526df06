"""The report as a whole: its runs, its sections, its files."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import torch
from threadpoolctl import threadpool_limits

from rnn_tasks import __version__
from rnn_tasks.report.gradient_flow import flowing
from rnn_tasks.report.hidden_states import states
from rnn_tasks.report.learning import learning
from rnn_tasks.report.memory import remembering
from rnn_tasks.report.page import Section, Table, write_all, write_page
from rnn_tasks.report.run_data import Subject, load_subjects
from rnn_tasks.report.weights import weights
from rnn_tasks.runs.find import RunPlace

SECTIONS: tuple[Callable[[Sequence[Subject]], Section], ...] = (learning, remembering, flowing, weights, states)
"""In the order in which a person asks."""


def write_report(places: Sequence[RunPlace], folder: Path) -> Path:
    """Look at runs and write what is seen; each part is announced, since some take a while.

    Args:
        places: The runs, at least one.
        folder: Where the report goes; it is made if it is not there.

    Returns:
        The page to open.

    Raises:
        UsageError: A run is broken, or they do not belong side by side.
        OSError: The folder cannot be written to.
    """
    subjects = load_subjects(places)
    require_writable(folder)  # before the work
    sections = []
    with one_thread():
        for section in SECTIONS:
            start = time.perf_counter()
            sections.append(section(subjects))
            print(f"{sections[-1].title}  {time.perf_counter() - start:.1f} s", flush=True)
    missing = [
        f"{subject.label}: {line}" if len(subjects) > 1 else line for subject in subjects for line in subject.missing
    ]
    if missing:
        title = "What this run does not have" if len(subjects) == 1 else "What these runs do not have"
        sections.append(Section("missing", title, (), {"lines": missing}, missing))
    task = subjects[0].task_name
    what = "what the network remembers" if len(subjects) == 1 else f"{len(subjects)} networks compared"
    start = time.perf_counter()
    page = write_page(folder, f"{task}: {what}", [overview(subjects)], sections, numbers(subjects))
    print(f"Pictures  {time.perf_counter() - start:.1f} s", flush=True)
    return page


def require_writable(folder: Path) -> None:
    """Raise if a folder cannot be made or written to; nothing is left behind.

    Args:
        folder: The folder, which need not be there.

    Raises:
        OSError: It cannot.
    """
    write_all(folder, {f".{uuid4().hex}": b""}, keep=False)


@contextmanager
def one_thread() -> Iterator[None]:
    """All in one thread: matrices are small, and threads that wait for one another take many times as long."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(threads)


def overview(subjects: Sequence[Subject]) -> Table:
    """Which runs these are, a column each."""

    def said(subject: Subject, name: str) -> str:
        value = subject.summary.get(name)
        return "-" if value is None else f"{value:,}" if isinstance(value, int) else str(value)

    rows = [
        ["verdict", *(said(subject, "verdict").replace("_", " ") for subject in subjects)],
        ["network", *(subject.core for subject in subjects)],
        ["units", *(f"{subject.model.core.hidden_size:,}" for subject in subjects)],
        ["parameters", *(f"{sum(p.numel() for p in subject.model.parameters()):,}" for subject in subjects)],
        ["optimizer steps", *(said(subject, "steps") for subject in subjects)],
        ["solved at step", *(said(subject, "solved_at") for subject in subjects)],
        ["seed", *(said(subject, "seed") for subject in subjects)],
        ["run folder", *(subject.folder.resolve().name for subject in subjects)],
        ["weights", *(subject.checkpoint.name for subject in subjects)],
    ]
    names = [subject.label for subject in subjects] if len(subjects) > 1 else [""]
    caption = (
        "What follows was measured on these weights; best.ckpt has those with the lowest validation loss, and the "
        "figures of the test are theirs."
    )
    return Table(caption, ["", *names], rows)


def numbers(subjects: Sequence[Subject]) -> dict[str, object]:
    """What belongs to the whole report."""
    return {
        "versions": {"rnn_tasks": __version__, "torch": torch.__version__},
        "runs": [
            {
                "label": subject.label,
                "folder": str(subject.folder),
                "checkpoint": subject.checkpoint.name,
                "network": subject.core,
                "summary": subject.summary,
            }
            for subject in subjects
        ],
    }
