"""What do its weights do? Eigenvalues, norms over training, saturated units, and gates."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from rnn_tasks.plots.matrices import LEAST_ERROR, QUANTITIES, Spectrum, draw_eigenvalues, draw_norms
from rnn_tasks.plots.saturation import Saturation, draw_saturation
from rnn_tasks.report.answers import labelled
from rnn_tasks.report.blocks import Block, Picture, Section
from rnn_tasks.report.gates import gate_blocks
from rnn_tasks.report.matrices import brief, norms, over_training, spectra
from rnn_tasks.report.run_data import RunData, attempt
from rnn_tasks.report.saturation import THRESHOLD, saturation_of


def title_of(runs: Sequence[RunData], run: RunData, of_it: Sequence[Spectrum], spectrum: Spectrum) -> str:
    """Return the title of a matrix: its run if there are several runs, and its name if the run has several matrices.

    Args:
        runs: All runs.
        run: Whose it is.
        of_it: All of its matrices.
        spectrum: The matrix.
    """
    name = brief(spectrum.name, [one.name for one in of_it])
    if len(runs) == 1:
        return name if len(of_it) > 1 else ""
    return f"{run.letter}: {name}" if len(of_it) > 1 else run.label


def caption_of_spectra(found: Sequence[tuple[str, Spectrum]]) -> str:
    """Return the caption of eigenvalues."""
    text = (
        "Eigenvalues of the recurrent matrices, before training (open) and of the trained network (filled); dashed, "
        "the unit circle. A linear network forgets along those inside it and explodes along those outside; an "
        "orthogonal matrix has all of them on it."
    )
    ends = [f"{title} {np.abs(s.first).max():.3f}, then {np.abs(s.last).max():.3f}".strip() for title, s in found]
    text += f" Spectral radius, before and after training: {'; '.join(ends)}."
    return text


CAPTION_OF_NORMS = (
    "The recurrent matrices over training. The spectral norm is how much longer one step can make a state, the "
    "spectral radius what many steps make of it in the long run (dashed: 1), and the orthogonality error 0 where a "
    f"matrix keeps all lengths; errors below {LEAST_ERROR:.0e} are drawn there. Of several runs: the largest over "
    "their matrices."
)


def caption_of_saturation(found: Sequence[tuple[str, Saturation]]) -> str:
    """Return the caption of saturation."""
    ends = [
        f"{'trained' if len(found) == 1 else name} {known.trained.mean():.1%}, untrained {known.untrained.mean():.1%}"
        for name, known in found
    ]
    return (
        f"How often the absolute value of a unit is above {THRESHOLD}, where tanh is flat and lets little gradient "
        f"through. Over all units: {'; '.join(ends)}."
    )


def weights_section(runs: Sequence[RunData]) -> Section:
    """Return the section "What do its weights do?".

    Args:
        runs: The runs.
    """
    missing: list[str] = []
    eigenvalues: dict[str, dict[str, Spectrum]] = {}
    found: list[tuple[str, Spectrum]] = []
    full: list[tuple[str, Saturation]] = []
    for run in runs:
        known = attempt(missing, labelled(runs, run, "eigenvalues"), partial(spectra, run))
        own = known or []
        if known == []:
            missing.append(labelled(runs, run, "eigenvalues: its layer names no recurrent matrix"))
        eigenvalues[run.label] = {spectrum.name: spectrum for spectrum in own}
        found += [(title_of(runs, run, own, spectrum), spectrum) for spectrum in own]
        share = attempt(missing, labelled(runs, run, "saturation"), partial(saturation_of, run))
        full += [] if share is None else [(run.label, share)]
    blocks: list[Block] = []
    if found:
        draw = partial(draw_eigenvalues, found, ("before training", "trained"))
        blocks.append(Picture("eigenvalues", draw, caption_of_spectra(found)))
    known_norms = norms(runs)
    if known_norms:
        blocks.append(Picture("recurrent_matrices", partial(draw_norms, known_norms), CAPTION_OF_NORMS))
    if full:
        blocks.append(Picture("saturation", partial(draw_saturation, full), caption_of_saturation(full)))
    gates, of_gates = gate_blocks(runs, missing)
    blocks += gates
    numbers: dict[str, Any] = {
        "eigenvalues": eigenvalues,
        "over_training": {
            run.label: {quantity: over_training(run, quantity) for quantity in QUANTITIES} for run in runs
        },
        "saturation": dict(full),
        "gates": of_gates,
    }
    return Section("weights", "What do its weights do?", blocks, numbers, missing)
