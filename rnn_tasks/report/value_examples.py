"""Examples of sequences with real values: curves of inputs, targets and answers."""

from collections.abc import Sequence
from functools import partial

from rnn_tasks.plots.value_examples import Example, draw_examples
from rnn_tasks.report.answers import answers, has_values, short_names
from rnn_tasks.report.blocks import Picture
from rnn_tasks.report.examples import NUM_EXAMPLES
from rnn_tasks.report.run_data import RunData

MAX_STEPS = 400
"""Largest number of drawn steps of a sequence."""


def value_examples(runs: Sequence[RunData]) -> list[Picture]:
    """Return a picture of the first test sequences with the answers of the runs; equal sequences share a picture.

    Args:
        runs: Runs with real inputs or real targets; runs without sequences are skipped.
    """
    groups: dict[str, list[tuple[str, RunData]]] = {}
    for name, run in zip(short_names(runs, "network"), runs, strict=True):
        if run.batch is not None:
            few = run.batch.rows(0, NUM_EXAMPLES)
            groups.setdefault(repr((few.inputs.tolist(), few.targets.tolist())), []).append((name, run))
    pictures = []
    for number, group in enumerate(groups.values(), 1):
        drawn = examples_of(group)
        name = "examples" if len(groups) == 1 else f"examples_{number}"
        pictures.append(Picture(name, partial(draw_examples, drawn), caption(group[0][1], len(drawn))))
    return pictures


def examples_of(group: Sequence[tuple[str, RunData]]) -> list[Example]:
    """Return the first test sequences with the answers of several runs.

    Args:
        group: The name and the run of each answer; all runs have the same sequences.
    """
    first = group[0][1]
    assert first.batch is not None
    few = first.batch.rows(0, NUM_EXAMPLES).expanded()
    answered = [(name, answers(run.network, few).numpy()) for name, run in group]
    inputs, targets, scored = (values[:, :MAX_STEPS].numpy() for values in (few.inputs, few.targets, few.scored))
    return [
        Example(
            read=first.characters(inputs[row].tolist()) if not few.inputs.is_floating_point() else [],
            inputs=inputs[row] if few.inputs.is_floating_point() else None,
            targets=targets[row],
            scored=scored[row],
            answers=[(name, values[row, :MAX_STEPS]) for name, values in answered],
        )
        for row in range(len(targets))
    ]


def caption(run: RunData, count: int) -> str:
    """Return the caption of examples.

    Args:
        run: One of the runs.
        count: The number of sequences.
    """
    text = f"The first {count} test sequences. " if count > 1 else "The first test sequence. "
    if run.network.spec.real_inputs:
        text += "Thin lines: the inputs. "
    if has_values(run):
        return (
            text + "Circles: the targets at the scored steps. Thick lines: the values that the network outputs there."
        )
    return text + "Above each sequence: the target and the answer at each scored step."
