"""The data of a page: the task, validation sequences, and the networks of one or two runs."""

from collections.abc import Sequence
from typing import Any

from rnn_tasks import __version__
from rnn_tasks.analysis.dynamics import eigenvalues
from rnn_tasks.errors import require
from rnn_tasks.explorer.live import network_values, state_parts, why_not_live
from rnn_tasks.explorer.recordings import record
from rnn_tasks.explorer.sequences import Sequences, sequence_values, validation_sequences
from rnn_tasks.explorer.task_values import task_values
from rnn_tasks.explorer.weights import (
    eigenvalue_arrays,
    moment_values,
    precision_values,
    stored_weights,
    weights_size,
)
from rnn_tasks.printable import printable
from rnn_tasks.report.json_values import plain
from rnn_tasks.report.run_data import RunData, attempt, load_run, run_facts, run_labels, short_core
from rnn_tasks.runs.find import RunLocation
from rnn_tasks.spec import Batch

FORMAT = 1
"""The version of the layout of the data."""


def load_runs(places: Sequence[RunLocation], trust: bool = False) -> list[RunData]:
    """Load the runs of a page.

    Args:
        places: One or two run folders or checkpoints.
        trust: Whether the config of a run may name classes of other packages, see
            :func:`rnn_tasks.runs.trained_network.load_network`.

    Raises:
        UsageError: A run is broken, has diverged or needs trust, or the runs are of different tasks.
    """
    runs = [load_run(place, label, trust) for place, label in zip(places, run_labels(places), strict=True)]
    for run in runs:
        finite = all(bool(weight.isfinite().all()) for weight in run.network.parameters())
        require(finite, f"the weights of {run.checkpoint} are not finite: the run has diverged, so nothing is to explore")
    for run in runs[1:]:
        names = sorted({runs[0].task_name, run.task_name})
        require(len(names) == 1, f"a page compares networks of one task, not of {' and '.join(names)}")
        difference = run.network.spec.difference_from(runs[0].network.spec)
        require(difference is None, f"a page compares networks with the same symbols; the first has {difference}")
    return runs


def page_data(runs: Sequence[RunData], most_bytes: int) -> dict[str, Any]:
    """Return the data of a page.

    Args:
        runs: One or two runs of the same task.
        most_bytes: The number of bytes that the weights and the moments of the training may take in the page.
    """
    missing: list[str] = []
    task = runs[0].task
    sequences = None if task is None else attempt(missing, "sequences", lambda: validation_sequences(task))
    batch = None if sequences is None else sequences.batch
    live = [run for run in runs if why_not_live(run.network) is None]
    bits = 32 if sum(weights_size(run.network, 32) for run in live) <= most_bytes else 16
    left = most_bytes - sum(weights_size(run.network, bits) for run in live)
    share = left // max(1, sum(run.snapshots is not None for run in live))
    data = {
        "format": FORMAT,
        "version": __version__,
        "task": task_values(runs[0], sequences),
        "sequences": None if sequences is None else sequence_values(sequences),
        "missing": [*runs[0].missing, *missing],
        "runs": [run_values(run, label, batch, bits, share) for run, label in zip(runs, labels(runs), strict=True)],
    }
    return dict(plain(data))


def labels(runs: Sequence[RunData]) -> list[str]:
    """Return the label of each run: its layer, after a letter if there are two runs.

    Args:
        runs: One or two runs.
    """
    return [run.label for run in runs] if len(runs) > 1 else [short_core(runs[0].config)]


def run_values(run: RunData, label: str, batch: Batch | None, bits: int, most_bytes: int) -> dict[str, Any]:
    """Return a run as values of a page.

    Args:
        run: The run.
        label: The label of the run.
        batch: The stored sequences; None without any.
        bits: Bits of each stored weight of the trained network.
        most_bytes: The number of bytes that the moments of the training may take in the page.
    """
    network, reason = run.network, why_not_live(run.network)
    values: dict[str, Any] = {
        "name": "/".join(map(printable, run.folder.resolve().parts[-2:])),
        "label": printable(label),
        "core": run.core,
        "facts": [[name, printable(text)] for name, text in run_facts(run)],
        "live": reason is None,
        "reason": reason,
        "eigenvalues": eigenvalue_arrays(eigenvalues(network)),
    }
    if reason is not None:
        recording = record(network, batch)
        return values | {
            "state_parts": recording.parts,
            "outputs": recording.outputs,
            "network": None,
            "weights": {},
            "moments": [],
            "precision": None,
            "recordings": recording.values,
        }
    parts = state_parts(network)
    size, weights = network.core.hidden_size, stored_weights(network, bits)
    first = size * (sum(name.endswith("hidden") for name, _ in parts) - 1)
    return values | {
        "state_parts": parts,
        "outputs": [first, size],
        "network": network_values(network),
        "weights": weights,
        "moments": [] if run.snapshots is None else moment_values(run.snapshots, network, most_bytes),
        "precision": precision_values(network, weights, batch, bits),
        "recordings": None,
    }
