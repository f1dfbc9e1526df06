"""Examples: test sequences with the answers of the networks, and texts that networks generate."""

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
MAX_BLANKS = 14
"""Longer stretches of blanks with right answers are printed as the number of blanks."""

LINE = 40
"""Characters of a text per line, so that lines fit on a phone."""

PREDICTED, SAMPLED = 4 * LINE, 5 * LINE
"""Numbers of predicted and of generated characters."""

TEMPERATURE = 0.7


class Line(NamedTuple):
    """A line of an example.

    Attributes:
        name: The name of the line, such as ``input``.
        text: One character per step.
        wrong: The steps with a wrong answer.
    """

    name: str
    text: str
    wrong: Sequence[int] = ()


NamedRun = tuple[str, RunData]
"""A run with the name of its answers."""


def chosen_rows(batch: Batch) -> list[int]:
    """Return the rows of the examples: the first ones, or one for the smallest, the median and the largest condition.

    Example:
        >>> batch = Batch(torch.zeros(6, 1), torch.zeros(6, 1), condition=torch.tensor([0, 1, 2, 0, 1, 2]))
        >>> chosen_rows(batch), chosen_rows(batch._replace(condition=None))
        ([0, 1, 2], [0, 1, 2])
    """
    if batch.condition is None:
        return list(range(min(NUM_EXAMPLES, len(batch.inputs))))
    conditions = batch.condition.tolist()
    distinct = sorted(set(conditions))
    chosen = dict.fromkeys([distinct[0], distinct[len(distinct) // 2], distinct[-1]])
    return [conditions.index(condition) for condition in chosen]


def examples(runs: Sequence[RunData]) -> list[Lines]:
    """Return test sequences with the answers of the runs; runs with the same sequences share a block.

    Args:
        runs: The runs; runs without sequences or without printed symbols are skipped.
    """
    groups: dict[str, list[NamedRun]] = {}
    for name, run in zip(short_names(runs, "answer"), runs, strict=True):
        if run.batch is not None and run.alphabet:
            rows = chosen_rows(run.batch)
            shown_data = repr((run.batch.inputs[rows].tolist(), run.batch.targets[rows].tolist()))
            groups.setdefault(shown_data, []).append((name, run))
    return [examples_of(group) for group in groups.values()]


def examples_of(group: Sequence[NamedRun]) -> Lines:
    """Return the test sequences that a group of runs shares, with the answers of each run.

    Args:
        group: Runs with equal sequences, with their names.
    """
    first = group[0][1]
    assert first.batch is not None
    rows = chosen_rows(first.batch)
    batch = first.batch.selected(torch.tensor(rows))
    answers_of_runs = [(name, answers(run.network, batch)) for name, run in group]
    lines: list[str] = []
    marked: dict[int, Sequence[int]] = {}
    shortened = False
    for row in range(len(rows)):
        example, blanks = example_lines(batch, answers_of_runs, row, first)
        shortened = shortened or bool(blanks)
        indent = max(len(line.name) for line in example) + 2
        lines += [""] if row else []
        if batch.condition is not None:
            lines.append(f"{'delay':{indent}}{int(batch.condition[row])}")
        for line in example:
            text, wrong = shorten_blanks(blanks, line)
            marked[len(lines)] = [indent + position for position in wrong]
            lines.append(f"{line.name:{indent}}{text}")
    selection = f"The first {len(rows)}" if batch.condition is None else str(len(rows))
    delays = "" if batch.condition is None else " with different delays"
    caption = f"{selection} test sequences{delays}: input, target and answer at each time step. Spaces are blanks and "
    caption += "steps that are not scored. "
    counts = [count_wrong(batch, answer) for _, answer in answers_of_runs]
    if len(answers_of_runs) > 1:
        counts = [f"{name}: {count}" for (name, _), count in zip(answers_of_runs, counts, strict=True)]
    else:
        counts = [counts[0].capitalize()]
    caption += "; ".join(counts) + "."
    if not torch.equal(batch.needs_memory, batch.scored):
        caption += " Only the steps of the accuracy count, where the answer needs memory and can be known."
    if shortened:
        caption += " Long stretches of blanks with right answers are replaced by the number of blanks."
    return Lines(caption, lines, marked)


def count_wrong(batch: Batch, answer: Tensor) -> str:
    """Return a phrase with the number of wrong answers among those that count in the accuracy."""
    wrong = int(((answer != batch.targets) & batch.needs_memory).sum())
    counted = int(batch.needs_memory.sum())
    return f"{wrong} of {counted} answers are wrong (marked)" if wrong else f"all {counted} answers are right"


def example_lines(
    batch: Batch, answers_of_runs: Sequence[tuple[str, Tensor]], row: int, run: RunData
) -> tuple[list[Line], list[tuple[int, int]]]:
    """Return the lines of one sequence up to its last scored step, and the long stretches of blanks with right answers.

    Args:
        batch: The sequences.
        answers_of_runs: The name and the answers, ``(batch, time)``, of each run.
        row: The index of the sequence.
        run: A run on this task.
    """
    end = max((batch.targets[row] != NOT_SCORED).nonzero()[:, 0].tolist(), default=-1) + 1
    inputs, targets = batch.inputs[row, :end], batch.targets[row, :end]
    scored = targets != NOT_SCORED
    letters, read = run.output_alphabet, [run.alphabet[symbol] for symbol in inputs.tolist()]
    lines = [Line("input", fixed_width(read)), Line("target", text_of(targets, letters))]
    blank = run.network.spec.blank
    blanks = torch.zeros_like(scored)
    if blank is not None:
        is_blank_answer = (targets == blank) if letters == run.alphabet else torch.zeros_like(scored)
        blanks = (inputs == blank) & (is_blank_answer | ~scored)
    for name, answer in answers_of_runs:
        differs = scored & (answer[row, :end] != targets)
        blanks &= ~differs
        wrong = differs & batch.needs_memory[row, :end]
        lines.append(
            Line(name, text_of(answer[row, :end].where(scored, targets), letters), wrong.nonzero()[:, 0].tolist())
        )
    return lines, long_stretches(blanks.tolist())


def text_of(symbols: Tensor, letters: Sequence[str]) -> str:
    """Return symbols ``(time,)`` as text, with a space where a step is not scored."""
    return fixed_width(" " if symbol == NOT_SCORED else letters[symbol] for symbol in symbols.tolist())


def long_stretches(blanks: Sequence[bool]) -> list[tuple[int, int]]:
    """Return the start and the end (exclusive) of each stretch of more than ``MAX_BLANKS`` true values.

    Example:
        >>> long_stretches([False] + [True] * 20 + [False] + [True] * 3)
        [(1, 21)]
    """
    stretches, start = [], 0
    for is_blank, steps in groupby(blanks):
        stop = start + len(list(steps))
        if is_blank and stop - start > MAX_BLANKS:
            stretches.append((start, stop))
        start = stop
    return stretches


def shorten_blanks(stretches: Sequence[tuple[int, int]], line: Line) -> tuple[str, list[int]]:
    """Return a line with each stretch of blanks replaced by its length, and the positions of the wrong answers.

    Example:
        >>> shorten_blanks([(1, 101)], Line("answer", "a" + 100 * " " + "b", [101]))
        ('a… 100 blanks …b', [15])
    """
    text, wrong, at = "", [], 0
    for start, stop in [*stretches, (len(line.text), len(line.text))]:
        wrong += [len(text) + step - at for step in line.wrong if at <= step < start]
        text += line.text[at:start]
        text += f"… {stop - start} blanks …" if stop > start else ""
        at = stop
    return text, wrong


def predictions(runs: Sequence[RunData]) -> list[Lines]:
    """Return the beginning of the test text with the predictions of the networks.

    Args:
        runs: Runs on text; runs without a test text are skipped.
    """
    groups: dict[str, list[NamedRun]] = {}
    for name, run in zip(short_names(runs, "predicted"), runs, strict=True):
        if run.batch is not None and run.alphabet:
            text = text_of(run.batch.targets[0, :PREDICTED], run.alphabet)
            groups.setdefault(text, []).append((name, run))
    return [predictions_of(text, group) for text, group in groups.items()]


def predictions_of(text: str, group: Sequence[NamedRun]) -> Lines:
    """Return a text with the predictions of a group of runs below it.

    Args:
        text: The text, without its first character, which is not predicted.
        group: The runs with their names.
    """
    rows = [Line("text", text)]
    for name, run in group:
        assert run.batch is not None
        predicted = answers(run.network, run.batch.rows(0, 1))[0, :PREDICTED]
        wrong = (predicted != run.batch.targets[0, :PREDICTED]).nonzero()[:, 0].tolist()
        rows.append(Line(name, text_of(predicted, run.alphabet), wrong))
    indent = max(len(line.name) for line in rows) + 2
    lines: list[str] = []
    marked: dict[int, Sequence[int]] = {}
    for start in range(0, len(text), LINE):
        lines += [""] if start else []
        for line in rows:
            marked[len(lines)] = [indent + at - start for at in line.wrong if start <= at < start + LINE]
            lines.append(f"{line.name:{indent}}{line.text[start : start + LINE]}")
    shares = ", ".join(f"{line.name} {1 - len(line.wrong) / len(text):.0%}" for line in rows[1:])
    caption = f"The first {len(text)} characters of the test text, and the most likely character at each position "
    caption += "given the characters before it. Wrong predictions are marked. Share of right predictions: "
    caption += f"{shares.removeprefix('predicted ')}."
    return Lines(caption, lines, marked)


def samples(runs: Sequence[RunData]) -> Lines | None:
    """Return texts that the networks generate; None if no network is a language model.

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
    caption = f"{SAMPLED} characters that the network generates after “{fixed_width(prefix)}”, each sampled with "
    caption += f"temperature {TEMPERATURE} (seed 0) and used as the next input."
    return Lines(caption, lines) if lines else None
