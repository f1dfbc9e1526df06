"""What do its weights do? Eigenvalues, norms over training, saturation, and gates."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from rnn_tasks.analysis.dynamics import eigenvalues_follow_inputs
from rnn_tasks.networks import Network
from rnn_tasks.plots.matrices import LEAST_ERROR, QUANTITIES, Spectrum, draw_eigenvalues, draw_norms
from rnn_tasks.plots.saturation import Saturation, draw_saturation
from rnn_tasks.report.answers import labelled
from rnn_tasks.report.blocks import Block, Picture, Section
from rnn_tasks.report.gates import gate_blocks
from rnn_tasks.report.matrices import brief, norms, over_training, spectra
from rnn_tasks.report.run_data import RunData, attempt, letter_of
from rnn_tasks.report.saturation import THRESHOLD, saturation_of
from rnn_tasks.runs.curves import Curve


def title_of(runs: Sequence[RunData], run: RunData, spectra_of_run: Sequence[Spectrum], spectrum: Spectrum) -> str:
    """Return the title of eigenvalues: their run if there are several runs, and their name if the run has several.

    Args:
        runs: All runs.
        run: The run of the eigenvalues.
        spectra_of_run: All eigenvalues of the run.
        spectrum: The eigenvalues of one name.
    """
    name = brief(spectrum.name, [one.name for one in spectra_of_run])
    if len(runs) == 1:
        return name if len(spectra_of_run) > 1 else ""
    return f"{run.letter}: {name}" if len(spectra_of_run) > 1 else run.label


def source_of_spectra(network: Network) -> str:
    """Return what the eigenvalues of a network belong to, such as ``the recurrent matrices``."""
    names = eigenvalues_follow_inputs(network)
    matrices = network.core.recurrent_weights()
    sources = {
        "the recurrent matrices": any(name in matrices for name in names),
        "the matrix or diagonal by which the layer multiplies its state": any(
            name not in matrices and not follows for name, follows in names.items()
        ),
        "the transitions of the layer at steps of one sequence, whose inputs decide them": any(names.values()),
    }
    return " and of ".join(source for source, is_present in sources.items() if is_present)


def caption_of_spectra(runs: Sequence[RunData], titled: Sequence[tuple[str, Spectrum]]) -> str:
    """Return the caption of eigenvalues.

    Args:
        runs: The runs.
        titled: The title and the eigenvalues of each panel.
    """
    sources = dict.fromkeys(source_of_spectra(run.network) for run in runs)
    text = (
        f"Eigenvalues of {', and of '.join(filter(None, sources))}, before training (open circles) and after training "
        "(filled circles); dashed: the unit circle. In a linear network, states decay along eigenvectors with an "
        "eigenvalue inside the circle and grow along those outside"
    )
    if any(run.network.core.recurrent_weights() for run in runs):
        text += "; all eigenvalues of an orthogonal matrix lie on the circle"
    text += "."
    if any(abs(spectrum.last.imag.sum()) > 1e-3 for _, spectrum in titled):  # those of a real matrix sum to 0
        text += " Each number of a complex diagonal stands for itself and its conjugate."
    radii = [(title, f"{np.abs(s.first).max():.4f} to {np.abs(s.last).max():.4f}") for title, s in titled]
    ends = [f"{title} ({change})" if title else change for title, change in radii]
    return f"{text} Spectral radius from before to after training: {'; '.join(ends)}."


CAPTION_OF_NORMS = (
    "Norms of the recurrent matrices during training. The spectral norm is the largest factor by which one "
    "multiplication lengthens a state; the spectral radius is the growth per step over many multiplications (dashed: "
    "1). The orthogonality error is 0 for an orthogonal matrix, which keeps all lengths; errors below "
    f"{LEAST_ERROR:.0e} are drawn at this limit."
)
CAPTION_OF_RADIUS = (
    "The spectral radius during training: the largest absolute value of the eigenvalues above (dashed: 1, no growth "
    "and no decay)."
)
CAPTION_OF_SEVERAL = " Each line shows the largest value over the matrices of a run."


def caption_of_saturation(runs: Sequence[tuple[str, Saturation]]) -> str:
    """Return the caption of saturation."""
    ends = [
        f"{'trained' if len(runs) == 1 else letter_of(name)} {share.trained.mean():.1%}, "
        f"untrained {share.untrained.mean():.1%}"
        for name, share in runs
    ]
    return (
        f"The share of time steps at which the absolute value of a unit is above {THRESHOLD}, where tanh is flat and "
        f"its gradient small. Mean over all units: {'; '.join(ends)}."
    )


def without_points(curves: dict[str, dict[str, Curve]]) -> dict[str, dict[str, Curve]]:
    """Return the quantities whose curves have several points; all quantities if none has.

    Args:
        curves: Curves by their name, by quantity.
    """
    several = {quantity: lines for quantity, lines in curves.items() if any(len(c.steps) > 1 for c in lines.values())}
    return several or curves


def weights_section(runs: Sequence[RunData]) -> Section:
    """Return the section "What do its weights do?".

    Args:
        runs: The runs.
    """
    missing: list[str] = []
    eigenvalues: dict[str, dict[str, Spectrum]] = {}
    titled: list[tuple[str, Spectrum]] = []
    saturations: list[tuple[str, Saturation]] = []
    for run in runs:
        measured = attempt(missing, labelled(runs, run, "eigenvalues"), partial(spectra, run))
        if measured == []:
            missing.append(
                labelled(
                    runs, run, "eigenvalues: the layer has neither a recurrent matrix nor another known transition"
                )
            )
        spectra_of_run = measured or []
        eigenvalues[run.label] = {spectrum.name: spectrum for spectrum in spectra_of_run}
        titled += [(title_of(runs, run, spectra_of_run, spectrum), spectrum) for spectrum in spectra_of_run]
        share = attempt(missing, labelled(runs, run, "saturation"), partial(saturation_of, run))
        saturations += [] if share is None else [(run.label, share)]
    blocks: list[Block] = []
    if titled:
        draw = partial(draw_eigenvalues, titled, ("before training", "after training"))
        blocks.append(Picture("eigenvalues", draw, caption_of_spectra(runs, titled)))
    logged_norms = without_points(norms(runs))
    if logged_norms:
        has_matrix = any(run.network.core.recurrent_weights() for run in runs)
        caption = (CAPTION_OF_NORMS if has_matrix else CAPTION_OF_RADIUS) + (
            CAPTION_OF_SEVERAL if len(runs) > 1 else ""
        )
        blocks.append(Picture("recurrent_matrices", partial(draw_norms, logged_norms), caption))
    if saturations:
        draw = partial(draw_saturation, saturations)
        blocks.append(Picture("saturation", draw, caption_of_saturation(saturations)))
    gates, gate_numbers = gate_blocks(runs, missing)
    blocks += gates
    numbers: dict[str, Any] = {
        "eigenvalues": eigenvalues,
        "over_training": {
            run.label: {quantity: over_training(run, quantity) for quantity in QUANTITIES} for run in runs
        },
        "saturation": dict(saturations),
        "gates": gate_numbers,
    }
    return Section("weights", "What do its weights do?", blocks, numbers, missing)
