"""Eigenvalues of a layer, and norms of its recurrent matrices over training."""

from collections.abc import Iterable, Sequence
from functools import reduce

import numpy as np
import torch

from rnn_tasks.analysis import eigenvalues
from rnn_tasks.errors import require
from rnn_tasks.plots.matrices import QUANTITIES, Spectrum
from rnn_tasks.plots.style import LINES
from rnn_tasks.report.run_data import RunData
from rnn_tasks.report.sequences import longest
from rnn_tasks.runs.curves import Curve
from rnn_tasks.spec import Batch


def spectra(run: RunData) -> list[Spectrum]:
    """Return the eigenvalues of the layer before and after training.

    The eigenvalues before training are those of a snapshot at step 0, else of the untrained network. Eigenvalues that
    depend on the inputs are measured along the sequence of the snapshots, else along the longest test sequence.

    Args:
        run: The run.
    """
    for network in (run.network, run.untrained):
        finite = all(bool(weight.isfinite().all()) for weight in network.core.parameters())
        require(finite, "the weights are not finite: the network has diverged")
    snapshots = run.snapshots if run.snapshots is not None and run.snapshots.steps[0] == 0 else None
    batch = None if run.batch is None else longest(run.batch, 1)
    if snapshots is not None:
        condition = None if snapshots.condition is None else torch.tensor([snapshots.condition])
        batch = Batch(snapshots.inputs[None], snapshots.targets[None], condition=condition)
    last = {name: values.numpy() for name, values in eigenvalues(run.network, batch).items()}
    first = {name: values.numpy() for name, values in eigenvalues(run.untrained, batch).items()}
    if snapshots is not None and snapshots.eigenvalues.keys() == last.keys():
        first = {name: values[0].to(torch.complex128).numpy() for name, values in snapshots.eigenvalues.items()}
    return [Spectrum(name, first[name], values) for name, values in last.items()]


def brief(name: str, names: Iterable[str]) -> str:
    """Return the name of a matrix, without the prefix that all matrices share.

    Example:
        >>> brief("weight_hh_l0/reset", ["weight_hh_l0/reset", "weight_hh_l0/new"])
        'reset'
        >>> brief("weight_hh_l1", ["weight_hh_l0", "weight_hh_l1"])
        'weight_hh_l1'
    """
    shared = len({other.partition("/")[0] for other in names}) == 1
    return name.partition("/")[2] or name if shared else name


def over_training(run: RunData, quantity: str) -> dict[str, Curve]:
    """Return the logged curve of a quantity for each recurrent matrix, by the name of the matrix.

    The spectral radius is also known of layers without a matrix, if there are snapshots.

    Args:
        run: The run.
        quantity: ``spectral_norm``, ``spectral_radius`` or ``orthogonality_error``.
    """
    recorded = run.snapshots
    if quantity == "spectral_radius" and recorded is not None and recorded.eigenvalues:
        radii = {name: values.abs().amax(1).double().numpy() for name, values in recorded.eigenvalues.items()}
        return {name: Curve(recorded.steps.numpy(), values) for name, values in radii.items()}
    logged = {name: run.curves.get(f"{quantity}/{name}") for name in run.network.core.recurrent_weights()}
    return {name: Curve(c.steps + 1, c.values) for name, c in logged.items() if c is not None}


def largest(curves: dict[str, Curve]) -> Curve:
    """Return the largest value of several curves at each step that all curves have.

    Example:
        >>> steps = np.array([1, 2])
        >>> largest({"a": Curve(steps, np.array([1.0, 4.0])), "b": Curve(steps, np.array([3.0, 2.0]))}).values.tolist()
        [3.0, 4.0]
    """
    # A run that was killed may have logged its last step for some matrices only.
    steps = reduce(np.intersect1d, [curve.steps for curve in curves.values()])
    values = [curve.values[np.isin(curve.steps, steps)] for curve in curves.values()]
    return Curve(steps, np.max(values, axis=0))


def lines_of(runs: Sequence[RunData], quantity: str) -> dict[str, Curve]:
    """Return a curve for each matrix of a single run, or for each of several runs the largest value over its matrices.

    Args:
        runs: The runs.
        quantity: As in :func:`over_training`.
    """
    curves_of_runs = {run.label: over_training(run, quantity) for run in runs}
    if len(runs) == 1:
        (curves,) = curves_of_runs.values()
        if len(curves) > len(LINES):
            return {"largest over all matrices": largest(curves)}
        return {brief(name, curves): curve for name, curve in curves.items()}
    return {label: largest(curves) for label, curves in curves_of_runs.items() if curves}


def norms(runs: Sequence[RunData]) -> dict[str, dict[str, Curve]]:
    """Return the curves of each logged quantity of the recurrent matrices.

    Args:
        runs: The runs.
    """
    return {quantity: lines for quantity in QUANTITIES if (lines := lines_of(runs, quantity))}
