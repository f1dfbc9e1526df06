"""Sequences with the networks' answers below them, and texts that networks write."""

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import torch
from torch import Tensor

from rnn_tasks.models import LanguageModel
from rnn_tasks.report.answers import answers, short, written
from rnn_tasks.report.page import Lines
from rnn_tasks.report.run_data import Subject
from rnn_tasks.spec import NOT_SCORED, Batch

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


Asked = tuple[str, Subject]
"""A run, and what its answers are called."""


def chosen(batch: Batch) -> list[int]:
    """The sequences that are shown: the first ones, or the first of the least, the middle and the greatest condition.

    Example:
        >>> batch = Batch(torch.zeros(6, 1), torch.zeros(6, 1), condition=torch.tensor([0, 1, 2, 0, 1, 2]))
        >>> chosen(batch), chosen(batch._replace(condition=None))
        ([0, 1, 2], [0, 1, 2])
    """
    if batch.condition is None:
        return list(range(min(NUM_EXAMPLES, len(batch.inputs))))
    conditions = batch.condition.tolist()
    there = sorted(set(conditions))
    wanted = dict.fromkeys([there[0], there[len(there) // 2], there[-1]])
    return [conditions.index(condition) for condition in wanted]


def examples(subjects: Sequence[Subject]) -> list[Lines]:
    """Sequences of a task with symbols, the answers of all runs that were asked the same below one another.

    Args:
        subjects: The runs; those without sequences or letters are left out.
    """
    asked: dict[str, list[Asked]] = {}
    for name, subject in zip(short(subjects, "answer"), subjects, strict=True):
        if subject.batch is not None and subject.alphabet:
            rows = chosen(subject.batch)
            question = repr((subject.batch.inputs[rows].tolist(), subject.batch.targets[rows].tolist()))
            asked.setdefault(question, []).append((name, subject))
    return [block(runs) for runs in asked.values()]


def block(asked: Sequence[Asked]) -> Lines:
    """The sequences that some runs were asked, with their answers.

    Args:
        asked: The runs with their names, with the same sequences to show.
    """
    first = asked[0][1]
    assert first.batch is not None
    rows = chosen(first.batch)
    batch = first.batch._replace(
        inputs=first.batch.inputs[rows],
        targets=first.batch.targets[rows],
        memory=None,
        condition=None if first.batch.condition is None else first.batch.condition[rows],
    )
    said = [(name, answers(subject.model, batch)) for name, subject in asked]
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
            text, wrong = without(waits, line)
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
    """How many answers are wrong, in words."""
    wrong = int(((answer != batch.targets) & batch.scored).sum())
    return f"{wrong} of {int(batch.scored.sum())} answers are wrong and marked" if wrong else "All answers are right"


def shown(
    batch: Batch, said: Sequence[tuple[str, Tensor]], row: int, subject: Subject
) -> tuple[list[Line], list[tuple[int, int]]]:
    """The lines of a sequence, and where in it nothing happens.

    Args:
        batch: The sequences.
        said: The answers of each run, ``(batch, time)``, with its name.
        row: The sequence.
        subject: A run that knows the symbols.
    """
    inputs, targets = batch.inputs[row], batch.targets[row]
    scored = targets != NOT_SCORED
    letters = subject.alphabet
    lines = [Line("input", written(letters[i] for i in inputs.tolist())), Line("target", text_of(targets, letters))]
    blank = subject.model.spec.blank
    dull = (inputs == blank) & ((targets == blank) | ~scored) if blank is not None else torch.zeros_like(scored)
    for name, answer in said:
        wrong = scored & (answer[row] != targets)
        dull &= ~wrong
        lines.append(Line(name, text_of(answer[row].where(scored, targets), letters), wrong.nonzero()[:, 0].tolist()))
    return lines, waits_of(dull.tolist())


def text_of(symbols: Tensor, letters: Sequence[str]) -> str:
    """Symbols ``(time,)`` as text, empty where a step is not scored."""
    return written(" " if symbol == NOT_SCORED else letters[symbol] for symbol in symbols.tolist())


def waits_of(dull: Sequence[bool]) -> list[tuple[int, int]]:
    """First step and the one behind the last of each long stretch of dull steps.

    Example:
        >>> waits_of([False] + [True] * 20 + [False] + [True] * 3)
        [(1, 21)]
    """
    found, start = [], 0
    for is_dull, steps in groupby(dull):
        stop = start + len(list(steps))
        if is_dull and stop - start > LONGEST_WAIT:
            found.append((start, stop))
        start = stop
    return found


def without(waits: Sequence[tuple[int, int]], line: Line) -> tuple[str, list[int]]:
    """A line with its waits counted instead of written, and where in it the wrong answers are then.

    Example:
        >>> without([(1, 101)], Line("answer", "a" + 100 * " " + "b", [101]))
        ('a… 100 blanks …b', [15])
    """
    said, wrong, at = "", [], 0
    for start, stop in [*waits, (len(line.text), len(line.text))]:
        wrong += [len(said) + step - at for step in line.wrong if at <= step < start]
        said += line.text[at:start]
        said += f"… {stop - start} blanks …" if stop > start else ""
        at = stop
    return said, wrong


def predictions(subjects: Sequence[Subject]) -> list[Lines]:
    """The beginning of the test text with the characters that networks expected.

    Args:
        subjects: Runs on text; those without one are left out.
    """
    asked: dict[str, list[Asked]] = {}
    for name, subject in zip(short(subjects, "guess"), subjects, strict=True):
        if subject.batch is not None and subject.alphabet:
            text = text_of(subject.batch.targets[0, :PREDICTED], subject.alphabet)
            asked.setdefault(text, []).append((name, subject))
    return [predicted(text, runs) for text, runs in asked.items()]


def predicted(text: str, asked: Sequence[Asked]) -> Lines:
    """A text with what some runs expected below it.

    Args:
        text: The text, without the first character that was read.
        asked: The runs with their names.
    """
    below = [Line("text", text)]
    for name, subject in asked:
        assert subject.batch is not None
        guesses = answers(subject.model, subject.batch.rows(0, 1))[0, :PREDICTED]
        wrong = (guesses != subject.batch.targets[0, :PREDICTED]).nonzero()[:, 0].tolist()
        below.append(Line(name, text_of(guesses, subject.alphabet), wrong))
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


def samples(subjects: Sequence[Subject]) -> Lines | None:
    """What networks write; None if none of them can.

    Args:
        subjects: Runs on text.
    """
    lines: list[str] = []
    prefix = ""
    for subject in subjects:
        vocabulary = subject.model.spec.vocabulary
        if vocabulary is None or not isinstance(subject.model, LanguageModel):
            continue
        prefix = vocabulary.prefix or vocabulary.characters[:1]
        text = written(subject.model.generate(prefix, SAMPLED, TEMPERATURE, seed=0))
        lines += [""] if lines else []
        lines += [subject.label] if len(subjects) > 1 else []
        lines += [text[start : start + LINE] for start in range(0, len(text), LINE)]
    caption = f"{SAMPLED} characters that the network makes up behind “{written(prefix)}”, drawn with temperature "
    caption += f"{TEMPERATURE} and seed 0: it is given its own characters to read."
    return Lines(caption, lines) if lines else None
