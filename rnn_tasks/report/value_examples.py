"""Examples of sequences with real values: curves of inputs, targets and answers."""

from collections.abc import Sequence
from functools import partial

from rnn_tasks.plots.value_examples import Example, draw_examples
from rnn_tasks.report.answers import answers, has_values, short_names
from rnn_tasks.report.blocks import Picture
from rnn_tasks.report.examples import NUM_EXAMPLES
from rnn_tasks.report.run_data import RunData
from rnn_tasks.tasks import Digits

MAX_STEPS = 400
"""Largest number of drawn steps of a sequence."""

MAX_OUTPUTS = 4
"""Largest number of drawn outputs of a sequence with several outputs."""


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
    spec = first.network.spec
    few = first.batch.rows(0, NUM_EXAMPLES).expanded()
    answered = [(name, answers(run.network, few).numpy()) for name, run in group]
    images = first.task.images(few.inputs).numpy() if isinstance(first.task, Digits) else None
    inputs, targets, scored = (values[:, :MAX_STEPS].numpy() for values in (few.inputs, few.targets, few.scored))
    examples = [
        Example(
            read=[] if spec.real_inputs else first.characters(inputs[row].tolist()),
            inputs=inputs[row] if spec.real_inputs else None,
            targets=targets[row],
            scored=scored[row],
            answers=[(name, values[row, :MAX_STEPS]) for name, values in answered],
            image=None if images is None else images[row],
        )
        for row in range(len(targets))
    ]
    return by_output(examples[0]) if spec.real_targets and spec.output_size > 1 else examples


def by_output(example: Example) -> list[Example]:
    """Return an example for each of the first outputs of a sequence, with the input of the same number if it exists.

    Args:
        example: A sequence with real targets.
    """
    inputs, count = example.inputs, example.targets.shape[1]
    has_own_input = inputs is not None and inputs.shape[1] == count
    return [
        example._replace(
            inputs=inputs[:, [output]] if inputs is not None and has_own_input else inputs,
            targets=example.targets[:, [output]],
            answers=[(name, values[:, [output]]) for name, values in example.answers],
        )
        for output in range(min(count, MAX_OUTPUTS))
    ]


def caption(run: RunData, count: int) -> str:
    """Return the caption of examples.

    Args:
        run: One of the runs.
        count: The number of sequences.
    """
    if isinstance(run.task, Digits):
        return f"The first {count} test images, which the network reads as sequences of pixels."
    outputs = run.network.spec.output_size if has_values(run) else 1
    if outputs > 1:
        panels = f"each of {outputs} outputs" if count == outputs else f"the first {count} of {outputs} outputs"
        text = f"The first test sequence, with a panel for {panels}. "
    else:
        text = f"The first {count} test sequences. " if count > 1 else "The first test sequence. "
    if run.network.spec.real_inputs:
        text += "Thin lines: the inputs. "
    if has_values(run):
        return (
            text + "Circles: the targets at the scored steps. Thick lines: the values that the network outputs there."
        )
    return text + "Above each sequence: the target and the answer at each scored step."
