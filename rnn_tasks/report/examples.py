"""Examples: sequences with the answers of the networks, and texts that networks write."""

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import torch
from torch import Tensor

from rnn_tasks.networks import LanguageNetwork
from rnn_tasks.report.answers import answers, short_names
from rnn_tasks.report.blocks import Lines
from rnn_tasks.report.run_data import RunData
from rnn_tasks.spec import NOT_SCORED, Batch
from rnn_tasks.spec.vocabulary import fixed_width

NUM_EXAMPLES = 3
LONGEST_WAIT = 14
"""Steps without news in a row that are written in full; more are counted instead."""

LINE = 40
"""Characters of a text in a line: what a telephone shows."""

PREDICTED, SAMPLED = 4 * LINE, 5 * LINE
"""Characters that are predicted, and that are made up."""

TEMPERATURE = 0.7


class Line(NamedTuple):
    """A line of an example.

    Attributes:
        name: What it is.
        text: One character a step.
        wrong: The steps with a wrong answer.
    """

    name: str
    text: str
    wrong: Sequence[int] = ()


NamedRun = tuple[str, RunData]
"""A run, and what its answers are called."""


def chosen_rows(batch: Batch) -> list[int]:
    """Return which sequences are shown: the first ones, or one for the least, the middle and the greatest condition.

    Example:
        >>> batch = Batch(torch.zeros(6, 1), torch.zeros(6, 1), condition=torch.tensor([0, 1, 2, 0, 1, 2]))
        >>> chosen_rows(batch), chosen_rows(batch._replace(condition=None))
        ([0, 1, 2], [0, 1, 2])
    """
    if batch.condition is None:
        return list(range(min(NUM_EXAMPLES, len(batch.inputs))))
    conditions = batch.condition.tolist()
    there = sorted(set(conditions))
    wanted = dict.fromkeys([there[0], there[len(there) // 2], there[-1]])
    return [conditions.index(condition) for condition in wanted]


def examples(runs: Sequence[RunData]) -> list[Lines]:
    """Return sequences with the answers of the runs; runs with the same sequences share a block.

    Args:
        runs: The runs; those without sequences or letters are left out.
    """
    asked: dict[str, list[NamedRun]] = {}
    for name, run in zip(short_names(runs, "answer"), runs, strict=True):
        if run.batch is not None and run.alphabet:
            rows = chosen_rows(run.batch)
            question = repr((run.batch.inputs[rows].tolist(), run.batch.targets[rows].tolist()))
            asked.setdefault(question, []).append((name, run))
    return [examples_of(group) for group in asked.values()]


def examples_of(asked: Sequence[NamedRun]) -> Lines:
    """Return the sequences that some runs have in common, with the answers of each run.

    Args:
        asked: The runs with their names, with the same sequences to show.
    """
    first = asked[0][1]
    assert first.batch is not None
    rows = chosen_rows(first.batch)
    batch = first.batch._replace(
        inputs=first.batch.inputs[rows],
        targets=first.batch.targets[rows],
        memory=None,
        condition=None if first.batch.condition is None else first.batch.condition[rows],
    )
    said = [(name, answers(run.network, batch)) for name, run in asked]
    lines: list[str] = []
    marked: dict[int, Sequence[int]] = {}
    shortened = False
    for row in range(len(rows)):
        example, waits = shown(batch, said, row, first)
        shortened = shortened or bool(waits)
        indent = max(len(line.name) for line in example) + 2
        lines += [""] if row else []
        if batch.condition is not None:
            lines.append(f"{'delay':{indent}}{int(batch.condition[row])}")
        for line in example:
            text, wrong = shorten_waits(waits, line)
            marked[len(lines)] = [indent + place for place in wrong]
            lines.append(f"{line.name:{indent}}{text}")
    of = " of the test, the first ones" if batch.condition is None else " of the test, of different delays"
    caption = f"{len(rows)} sequences{of}: input, target and answer, step by step. Empty: a blank, or not scored. "
    wrongs = [wrong_of(batch, answer) for _, answer in said]
    if len(said) > 1:
        wrongs = [f"{name}: {wrong}" for (name, _), wrong in zip(said, wrongs, strict=True)]
    caption += "; ".join(wrongs) + "."
    if shortened:
        caption += " Where nothing but blanks is read and all answers are right, the steps are only counted."
    return Lines(caption, lines, marked)


def wrong_of(batch: Batch, answer: Tensor) -> str:
    """Return how many answers are wrong, in words."""
    wrong = int(((answer != batch.targets) & batch.scored).sum())
    return f"{wrong} of {int(batch.scored.sum())} answers are wrong and marked" if wrong else "All answers are right"


def shown(
    batch: Batch, said: Sequence[tuple[str, Tensor]], row: int, run: RunData
) -> tuple[list[Line], list[tuple[int, int]]]:
    """Return the lines of one sequence, and the long stretches of steps at which nothing happens.

    Args:
        batch: The sequences.
        said: The answers of each run, ``(batch, time)``, with its name.
        row: The sequence.
        run: A run that knows the symbols.
    """
    inputs, targets = batch.inputs[row], batch.targets[row]
    scored = targets != NOT_SCORED
    letters = run.alphabet
    lines = [Line("input", fixed_width(letters[i] for i in inputs.tolist())), Line("target", text_of(targets, letters))]
    blank = run.network.spec.blank
    dull = (inputs == blank) & ((targets == blank) | ~scored) if blank is not None else torch.zeros_like(scored)
    for name, answer in said:
        wrong = scored & (answer[row] != targets)
        dull &= ~wrong
        lines.append(Line(name, text_of(answer[row].where(scored, targets), letters), wrong.nonzero()[:, 0].tolist()))
    return lines, long_waits(dull.tolist())


def text_of(symbols: Tensor, letters: Sequence[str]) -> str:
    """Return symbols ``(time,)`` as text, with a space where a step is not scored."""
    return fixed_width(" " if symbol == NOT_SCORED else letters[symbol] for symbol in symbols.tolist())


def long_waits(dull: Sequence[bool]) -> list[tuple[int, int]]:
    """Return the first step of each long stretch of dull steps, and the step after its last one.

    Example:
        >>> long_waits([False] + [True] * 20 + [False] + [True] * 3)
        [(1, 21)]
    """
    found, start = [], 0
    for is_dull, steps in groupby(dull):
        stop = start + len(list(steps))
        if is_dull and stop - start > LONGEST_WAIT:
            found.append((start, stop))
        start = stop
    return found


def shorten_waits(waits: Sequence[tuple[int, int]], line: Line) -> tuple[str, list[int]]:
    """Return a line with the number of steps in place of each long wait, and the places of its wrong answers.

    Example:
        >>> shorten_waits([(1, 101)], Line("answer", "a" + 100 * " " + "b", [101]))
        ('a… 100 blanks …b', [15])
    """
    said, wrong, at = "", [], 0
    for start, stop in [*waits, (len(line.text), len(line.text))]:
        wrong += [len(said) + step - at for step in line.wrong if at <= step < start]
        said += line.text[at:start]
        said += f"… {stop - start} blanks …" if stop > start else ""
        at = stop
    return said, wrong


def predictions(runs: Sequence[RunData]) -> list[Lines]:
    """Return the beginning of the test text with the characters that the networks predicted.

    Args:
        runs: Runs on text; those without one are left out.
    """
    asked: dict[str, list[NamedRun]] = {}
    for name, run in zip(short_names(runs, "guess"), runs, strict=True):
        if run.batch is not None and run.alphabet:
            text = text_of(run.batch.targets[0, :PREDICTED], run.alphabet)
            asked.setdefault(text, []).append((name, run))
    return [predicted(text, group) for text, group in asked.items()]


def predicted(text: str, asked: Sequence[NamedRun]) -> Lines:
    """Return a text with the predictions of some runs below it.

    Args:
        text: The text, without the first character that was read.
        asked: The runs with their names.
    """
    below = [Line("text", text)]
    for name, run in asked:
        assert run.batch is not None
        guesses = answers(run.network, run.batch.rows(0, 1))[0, :PREDICTED]
        wrong = (guesses != run.batch.targets[0, :PREDICTED]).nonzero()[:, 0].tolist()
        below.append(Line(name, text_of(guesses, run.alphabet), wrong))
    indent = max(len(line.name) for line in below) + 2
    lines: list[str] = []
    marked: dict[int, Sequence[int]] = {}
    for start in range(0, len(text), LINE):
        lines += [""] if start else []
        for line in below:
            marked[len(lines)] = [indent + at - start for at in line.wrong if start <= at < start + LINE]
            lines.append(f"{line.name:{indent}}{line.text[start : start + LINE]}")
    right = ", ".join(f"{line.name} {1 - len(line.wrong) / len(text):.0%}" for line in below[1:])
    caption = f"The first {len(text)} characters of the test text, and below each the one that was found likeliest "
    caption += f"before it was seen; wrong ones are marked. Right here: {right.replace('guess ', '')}."
    return Lines(caption, lines, marked)


def samples(runs: Sequence[RunData]) -> Lines | None:
    """Return texts that the networks write; None if none of them is a language model.

    Args:
        runs: Runs on text.
    """
    lines: list[str] = []
    prefix = ""
    for run in runs:
        vocabulary = run.network.spec.vocabulary
        if vocabulary is None or not isinstance(run.network, LanguageNetwork):
            continue
        prefix = vocabulary.prefix or vocabulary.characters[:1]
        text = fixed_width(run.network.generate(prefix, SAMPLED, TEMPERATURE, seed=0))
        lines += [""] if lines else []
        lines += [run.label] if len(runs) > 1 else []
        lines += [text[start : start + LINE] for start in range(0, len(text), LINE)]
    caption = f"{SAMPLED} characters that the network makes up behind “{fixed_width(prefix)}”, drawn with temperature "
    caption += f"{TEMPERATURE} and seed 0: it is given its own characters to read."
    return Lines(caption, lines) if lines else None
