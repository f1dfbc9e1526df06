"""Recurrent matrices: their eigenvalues, and their norms over training."""

from collections.abc import Iterable, Sequence
from functools import reduce
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from numpy.typing import NDArray

from rnn_tasks.analysis import eigenvalues
from rnn_tasks.errors import require
from rnn_tasks.plots.style import LINES, legend_below, level, logarithmic, name_axes, panels, whole
from rnn_tasks.report.run_data import Curve, Subject

SMALL = 1.85
"""Inches that a square field needs beside others."""

LEAST_ERROR = 1e-8
"""Errors below this one are rounding, and drawn there."""


class Spectrum(NamedTuple):
    """Eigenvalues of a recurrent matrix.

    Attributes:
        name: Of the matrix.
        first: Before training, complex ``(hidden_size,)``.
        last: Of the trained network.
    """

    name: str
    first: NDArray[np.complex128]
    last: NDArray[np.complex128]


def spectra(subject: Subject) -> list[Spectrum]:
    """The eigenvalues of a run's recurrent matrices; the first ones are a recorder's, or those of an untrained network.

    Args:
        subject: The run.
    """
    for model in (subject.model, subject.untrained):
        finite = all(bool(weight.isfinite().all()) for weight in model.core.recurrent_weights().values())
        require(finite, "the weights are not finite: the network has diverged")
    last = {name: values.numpy() for name, values in eigenvalues(subject.model).items()}
    first = {name: values.numpy() for name, values in eigenvalues(subject.untrained).items()}
    kept = subject.snapshots
    if kept is not None and kept.steps[0] == 0 and kept.eigenvalues.keys() == last.keys():
        first = {name: values[0].to(torch.complex128).numpy() for name, values in kept.eigenvalues.items()}
    return [Spectrum(name, first[name], values) for name, values in last.items()]


def brief(name: str, names: Iterable[str]) -> str:
    """The name of a matrix without what all matrices of its layer share.

    Example:
        >>> brief("weight_hh_l0/reset", ["weight_hh_l0/reset", "weight_hh_l0/new"])
        'reset'
        >>> brief("weight_hh_l1", ["weight_hh_l0", "weight_hh_l1"])
        'weight_hh_l1'
    """
    shared = len({other.partition("/")[0] for other in names}) == 1
    return name.partition("/")[2] or name if shared else name


def draw_spectra(found: Sequence[tuple[str, Spectrum]], width: float) -> Figure:
    """Eigenvalues in the complex plane, a field for each matrix.

    Args:
        found: Titles and eigenvalues.
        width: Inches.
    """
    figure, fields = panels(width, len(found), height=2.6, least=SMALL, sharex=True, sharey=True)
    far = max(float(np.abs(values).max()) for _, (_, first, last) in found for values in (first, last))
    limit = 1.08 * max(far, 1.0)
    for field, (title, (_, first, last)) in zip(fields, found, strict=True):
        field.add_patch(Circle((0, 0), 1, fill=False, linestyle="--", linewidth=0.9))
        field.plot(first.real, first.imag, "o", color="0.55", fillstyle="none", markersize=5, label="before training")
        field.plot(last.real, last.imag, "o", color=LINES[0]["color"], markersize=2.6, label="trained")
        field.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
        name_axes(field, "real part", "imaginary part", title)
    legend_below(figure, fields[0], width)
    return figure


def over_training(subject: Subject, quantity: str) -> dict[str, Curve]:
    """What was logged of each recurrent matrix, by its name.

    Args:
        subject: The run.
        quantity: ``spectral_norm``, ``spectral_radius`` or ``orthogonality_error``.
    """
    names = subject.model.core.recurrent_weights()
    kept = subject.snapshots
    if quantity == "spectral_radius" and kept is not None and kept.eigenvalues.keys() == names.keys():
        radii = {name: values.abs().amax(1).double().numpy() for name, values in kept.eigenvalues.items()}
        return {name: Curve(kept.steps.numpy(), values) for name, values in radii.items()}
    logged = {name: subject.curves.get(f"{quantity}/{name}") for name in names}
    return {name: Curve(c.steps + 1, c.values) for name, c in logged.items() if c is not None}


QUANTITIES = {
    "spectral_norm": "largest singular value",
    "spectral_radius": "largest |eigenvalue|",
    "orthogonality_error": "max |W'W - I|",
}


def largest(curves: dict[str, Curve]) -> Curve:
    """The largest of some quantities at each moment.

    Example:
        >>> steps = np.array([1, 2])
        >>> largest({"a": Curve(steps, np.array([1.0, 4.0])), "b": Curve(steps, np.array([3.0, 2.0]))}).values.tolist()
        [3.0, 4.0]
    """
    # The last moment of a run that was killed may lack some.
    steps = reduce(np.intersect1d, [curve.steps for curve in curves.values()])
    values = [curve.values[np.isin(curve.steps, steps)] for curve in curves.values()]
    return Curve(steps, np.max(values, axis=0))


def lines_of(subjects: Sequence[Subject], quantity: str) -> dict[str, Curve]:
    """A curve for each matrix of the only run, or for each of several runs, the largest over its matrices.

    Args:
        subjects: The runs.
        quantity: As in :func:`over_training`.
    """
    found = {subject.label: over_training(subject, quantity) for subject in subjects}
    if len(subjects) == 1:
        (curves,) = found.values()
        if len(curves) > len(LINES):
            return {"largest of all matrices": largest(curves)}
        return {brief(name, curves): curve for name, curve in curves.items()}
    return {label: largest(curves) for label, curves in found.items() if curves}


def draw_norms(subjects: Sequence[Subject], width: float) -> Figure:
    """Spectral norm, spectral radius and orthogonality error over training.

    Args:
        subjects: The runs.
        width: Inches.
    """
    known = {quantity: lines for quantity in QUANTITIES if (lines := lines_of(subjects, quantity))}
    figure, fields = panels(width, len(known), height=2.8, least=2.4)
    for field, (quantity, curves) in zip(fields, known.items(), strict=True):
        for index, (name, curve) in enumerate(curves.items()):
            values = np.maximum(curve.values, LEAST_ERROR) if quantity == "orthogonality_error" else curve.values
            marker = "." if len(values) < 4 else ""
            field.plot(curve.steps, values, **LINES[index], linewidth=1.8, marker=marker, label=name)
        if quantity == "orthogonality_error":
            logarithmic(field, [np.maximum(curve.values, LEAST_ERROR) for curve in curves.values()])
        else:
            level(field, 1.0, "")
        name_axes(field, "optimizer steps", QUANTITIES[quantity], quantity.replace("_", " ").capitalize())
        whole(field)
    legend_below(figure, fields[0], width)
    return figure
