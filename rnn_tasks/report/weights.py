"""What do its weights do? Eigenvalues, norms over training, saturated units, and gates."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from rnn_tasks.report.answers import about
from rnn_tasks.report.gates import gate_blocks
from rnn_tasks.report.matrices import (
    LEAST_ERROR,
    QUANTITIES,
    Spectrum,
    brief,
    draw_norms,
    draw_spectra,
    lines_of,
    over_training,
    spectra,
)
from rnn_tasks.report.page import Block, Picture, Section
from rnn_tasks.report.run_data import Subject, attempt
from rnn_tasks.report.saturation import THRESHOLD, Saturated, draw_saturated, saturated


def title_of(subjects: Sequence[Subject], subject: Subject, of_it: Sequence[Spectrum], spectrum: Spectrum) -> str:
    """What a matrix is called: by its run where there are several, and by its name where the run has several.

    Args:
        subjects: All runs.
        subject: Whose it is.
        of_it: All of its matrices.
        spectrum: The matrix.
    """
    name = brief(spectrum.name, [one.name for one in of_it])
    if len(subjects) == 1:
        return name if len(of_it) > 1 else ""
    return f"{subject.letter}: {name}" if len(of_it) > 1 else subject.label


def caption_of_spectra(found: Sequence[tuple[str, Spectrum]]) -> str:
    """How to read eigenvalues."""
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


def caption_of_saturation(found: Sequence[tuple[str, Saturated]]) -> str:
    """How to read saturation."""
    ends = [
        f"{'trained' if len(found) == 1 else name} {known.trained.mean():.1%}, untrained {known.untrained.mean():.1%}"
        for name, known in found
    ]
    return (
        f"How often the absolute value of a unit is above {THRESHOLD}, where tanh is flat and lets little gradient "
        f"through. Over all units: {'; '.join(ends)}."
    )


def weights(subjects: Sequence[Subject]) -> Section:
    """What do its weights do?

    Args:
        subjects: The runs.
    """
    missing: list[str] = []
    eigenvalues: dict[str, dict[str, Spectrum]] = {}
    found: list[tuple[str, Spectrum]] = []
    full: list[tuple[str, Saturated]] = []
    for subject in subjects:
        known = attempt(missing, about(subjects, subject, "eigenvalues"), partial(spectra, subject))
        own = known or []
        if known == []:
            missing.append(about(subjects, subject, "eigenvalues: its layer names no recurrent matrix"))
        eigenvalues[subject.label] = {spectrum.name: spectrum for spectrum in own}
        found += [(title_of(subjects, subject, own, spectrum), spectrum) for spectrum in own]
        share = attempt(missing, about(subjects, subject, "saturation"), partial(saturated, subject))
        full += [] if share is None else [(subject.label, share)]
    blocks: list[Block] = []
    if found:
        blocks.append(Picture("eigenvalues", partial(draw_spectra, found), caption_of_spectra(found)))
    if any(lines_of(subjects, quantity) for quantity in QUANTITIES):
        blocks.append(Picture("recurrent_matrices", partial(draw_norms, subjects), CAPTION_OF_NORMS))
    if full:
        blocks.append(Picture("saturation", partial(draw_saturated, full), caption_of_saturation(full)))
    gates, of_gates = gate_blocks(subjects, missing)
    blocks += gates
    numbers: dict[str, Any] = {
        "eigenvalues": eigenvalues,
        "over_training": {
            subject.label: {quantity: over_training(subject, quantity) for quantity in QUANTITIES}
            for subject in subjects
        },
        "saturation": dict(full),
        "gates": of_gates,
    }
    return Section("weights", "What do its weights do?", blocks, numbers, missing)
