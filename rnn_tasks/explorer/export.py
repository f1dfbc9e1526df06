"""The data of a page: the task, validation sequences, and the networks of one or two runs."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rnn_tasks import __version__
from rnn_tasks.analysis.dynamics import eigenvalues
from rnn_tasks.analysis.snapshots import effective_weights
from rnn_tasks.errors import UsageError, require
from rnn_tasks.explorer.facts import facts
from rnn_tasks.explorer.live import is_live, network_values, state_parts, unknown_class
from rnn_tasks.explorer.recordings import record
from rnn_tasks.explorer.sequences import Sequences, sequence_values, validation_sequences
from rnn_tasks.explorer.task_values import task_values
from rnn_tasks.explorer.weights import (
    eigenvalue_arrays,
    moment_size,
    moment_values,
    precision_values,
    stored_weights,
    weights_size,
)
from rnn_tasks.networks import Network
from rnn_tasks.printable import printable
from rnn_tasks.report.answers import labelled
from rnn_tasks.report.json_values import plain
from rnn_tasks.report.run_data import (
    TASK_PARTS,
    RunData,
    attempt,
    load_run,
    run_labels,
    short_core,
)
from rnn_tasks.runs.find import RunLocation
from rnn_tasks.spec import Batch, TaskSpec


def load_runs(places: Sequence[RunLocation], trust: bool = False) -> list[RunData]:
    """Load the runs of a page.

    Args:
        places: One or two run folders or checkpoints.
        trust: Whether the config of a run may name classes of other packages, see
            :func:`rnn_tasks.runs.trained_network.load_network`.

    Raises:
        UsageError: A run is broken, has diverged or needs trust, or the runs are of different tasks or symbols.
    """
    runs = [load_run(place, label, trust) for place, label in zip(places, run_labels(places), strict=True)]
    for run in runs:
        require(
            has_finite_weights(run.network),
            f"the weights of {run.checkpoint} are not finite: a diverged network cannot be explored",
        )
    names = sorted({run.task_name for run in runs})
    require(len(names) == 1, f"a page compares networks of one task, not of {' and '.join(names)}")
    for run in runs[1:]:
        difference = difference_of(runs[0].network.spec, run.network.spec)
        require(difference is None, f"a page compares networks with equal symbols: {difference}")
    return runs


def has_finite_weights(network: Network) -> bool:
    """Return whether all parameters of a network, and all weights that are computed from them, are finite.

    Args:
        network: The network.
    """
    try:
        weights = [*network.parameters(), *effective_weights(network).values()]
    except RuntimeError:  # torch's error for a matrix that an orthogonal map cannot invert
        return False
    return all(bool(weight.isfinite().all()) for weight in weights)


def difference_of(one: TaskSpec, other: TaskSpec) -> str | None:
    """Return in what two networks read or answer different symbols; None if the symbols mean the same.

    Args:
        one: The sizes and strings of the first network.
        other: The sizes and strings of the second network.
    """
    texts = [spec.vocabulary.characters for spec in (one, other) if spec.vocabulary is not None]
    if len(set(texts)) > 1:
        return "A and B were trained on texts with different characters"
    for name, difference in (("B", one.difference_from(other)), ("A", other.difference_from(one))):
        if difference is not None:
            return f"{name} was trained on {difference}"
    return None


def page_sequences(runs: Sequence[RunData]) -> Sequences | None:
    """Return the validation sequences of a page; None, with a note on stderr, if the data of the task is missing.

    Args:
        runs: One or two runs.

    Raises:
        UsageError: The task has no validation sequences.
    """
    missing: list[str] = []
    for run in runs:
        if run.task is not None:
            return validation_sequences(run.task)
        missing += [line for line in run.missing if line.startswith(TASK_PARTS)]
    print(*(f"note: {printable(line)}" for line in missing), sep="\n", file=sys.stderr, flush=True)
    return None


def page_data(runs: Sequence[RunData], sequences: Sequences | None) -> dict[str, Any]:
    """Return the data of a page without weights, see :func:`with_weights`.

    Args:
        runs: One or two runs of the same task.
        sequences: The stored sequences; None without any.

    Raises:
        UsageError: A page can run a network neither itself, nor show its recorded traces.
    """
    batch = None if sequences is None else sequences.batch
    data = {
        "version": __version__,
        "task": task_values(runs, sequences),
        "sequences": None if sequences is None else sequence_values(sequences),
        "missing": notes(runs, sequences),
        "runs": [run_values(run, label, batch) for run, label in zip(runs, labels(runs), strict=True)],
    }
    return dict(plain(data))


def notes(runs: Sequence[RunData], sequences: Sequences | None) -> list[str]:
    """Return a sentence about each part of the page that is missing or belongs to one of two runs only.

    The reasons of errors are left out, since they may name folders of this computer.

    Args:
        runs: One or two runs.
        sequences: The stored sequences; None without any.
    """
    lines: list[str] = []
    if sequences is None:
        lines.append("There are no stored sequences: the computer that wrote this page did not have the task's data.")
    for run in runs:
        if not run.summary:
            lines.append(labelled(runs, run, "The run is not complete, so its verdict and test results are unknown."))
        if run.snapshots is None:
            lines.append(labelled(runs, run, "The run has no snapshots of its training (train with --config watch)."))
    if any(run.network.spec.codec != runs[0].network.spec.codec for run in runs):
        lines.append("The delays and the numbers of letters are those of A; B was trained on others.")
    return lines


def labels(runs: Sequence[RunData]) -> list[str]:
    """Return the label of each run: its layer, after a letter if there are two runs.

    Args:
        runs: One or two runs.
    """
    return [run.label for run in runs] if len(runs) > 1 else [short_core(runs[0].config)]


def run_values(run: RunData, label: str, batch: Batch | None) -> dict[str, Any]:
    """Return a run as values of a page, without weights.

    Args:
        run: The run.
        label: The label of the run.
        batch: The stored sequences; None without any.

    Raises:
        UsageError: A page can run the network neither itself, nor show its recorded traces.
    """
    network, unknown = run.network, unknown_class(run.network)
    values: dict[str, Any] = {
        "name": printable("/".join(run.folder.resolve().parts[-2:])),
        "label": printable(label),
        "facts": [[name, printable(text)] for name, text in facts(run)],
        "steps": run.trained_steps,
        "live": unknown is None,
        "reason": None,
        "weights": {},
        "moments": [],
        "precision": None,
    }
    if unknown is None:
        return values | {
            "state_parts": state_parts(network),
            "network": network_values(network),
            "eigenvalues": eigenvalue_arrays(eigenvalues(network)),
            "recordings": None,
        }
    failures: list[str] = []
    recording = None if batch is None else attempt(failures, "recorded traces", lambda: record(network, batch))
    if recording is None:
        detail = failures[0] if failures else "there are no sequences to record"
        raise UsageError(f"a page has no equations for the class {unknown}, and {detail}")
    matrices = attempt(failures, "eigenvalues", lambda: eigenvalue_arrays(eigenvalues(network)))
    return values | {
        "reason": f"This page has no equations for the class {unknown}, so it shows recorded states and answers on the "
        f"first {recording.sequences} stored sequences.",
        "state_parts": recording.parts,
        "network": None,
        "eigenvalues": matrices or {},
        "recordings": recording.values,
    }


def with_weights(
    data: Mapping[str, Any], runs: Sequence[RunData], batch: Batch | None, most_bytes: int
) -> dict[str, Any]:
    """Return the data of a page with the weights of the networks that the page runs itself.

    The weights are exact if all of them, and one moment of each training with snapshots, fit; else they have 16 bits.
    The rest of the size is for moments of the trainings, whose weights always have 16 bits. The notes of the page say
    how many bits the weights and the moments have (``notes`` in page.js).

    Args:
        data: The data of :func:`page_data`.
        runs: The runs of the data.
        batch: The stored sequences; None without any.
        most_bytes: The number of bytes that the weights and the moments of the trainings should not exceed.
    """
    live = [run for run in runs if is_live(run.network)]
    watched = [run for run in live if run.snapshots is not None]
    moments = sum(moment_size(run.network) for run in watched)
    bits = 32 if sum(weights_size(run.network, 32) for run in live) + moments <= most_bytes else 16
    share = (most_bytes - sum(weights_size(run.network, bits) for run in live)) // max(1, len(watched))
    values, missing = list(data["runs"]), list(data["missing"])
    for index, run in enumerate(runs):
        if run in live:
            weights = stored_weights(run.network, bits)
            moments_of_run = (
                [] if run.snapshots is None else moment_values(run.snapshots, run.network, share, run.trained_steps)
            )
            values[index] = values[index] | {
                "weights": weights,
                "moments": moments_of_run,
                "precision": precision_values(run.network, weights, batch, bits),
            }
            if run.snapshots is not None and not moments_of_run:
                missing.append(
                    labelled(
                        runs,
                        run,
                        "No snapshot is shown: they do not fit into this page, or are later than the weights.",
                    )
                )
    return {**data, "runs": values, "missing": missing}
