"""The validation sequences that a page holds."""

from typing import Any, NamedTuple

from rnn_tasks.errors import require
from rnn_tasks.explorer.arrays import exact, integers
from rnn_tasks.spec import NOT_SCORED, Batch, Codec
from rnn_tasks.spec.batch import joined
from rnn_tasks.tasks import Task
from rnn_tasks.tasks.language_task import LanguageTask, cut_rows

MAX_SEQUENCES, MIN_SEQUENCES = 200, 20
"""Largest number of stored sequences, and the number that is stored even if they are long."""

MAX_NUMBERS = 150_000
"""Approximate largest number of stored inputs and targets: symbols take about 2 bytes each, real numbers 6 bytes."""

PIECE_LENGTH = 50
"""Characters of a piece of a text."""


class Sequences(NamedTuple):
    """Validation sequences, and a sentence part that says which they are."""

    batch: Batch
    source: str


def validation_sequences(task: Task) -> Sequences:
    """Return the first validation sequences, or for a text consecutive pieces of its beginning.

    Args:
        task: The task.

    Raises:
        UsageError: The text is too short, or there are no validation sequences.
    """
    if isinstance(task, LanguageTask):
        symbols = task.symbols("val")[: MAX_SEQUENCES * PIECE_LENGTH + 1]
        require(len(symbols) > 1, f"the validation text must have at least 2 characters, got {len(symbols)}")
        pieces = cut_rows(symbols, min(PIECE_LENGTH, len(symbols) - 1))
        count, length = pieces.targets.shape
        return Sequences(pieces, f"the first {count} pieces of {length} characters of the validation text")
    parts: list[Batch] = []
    total, limit = 0, MAX_SEQUENCES
    for batch in task.val_dataloader():
        time = batch.inputs.shape[1]
        if parts and time != parts[0].inputs.shape[1]:
            break
        numbers = batch.inputs[0].numel() + batch.targets[0].numel()
        limit = min(MAX_SEQUENCES, max(MIN_SEQUENCES, MAX_NUMBERS // numbers))
        parts.append(batch.rows(0, limit - total).expanded()._replace(continues=False))
        total += parts[-1].num_sequences
        if total >= limit:
            break
    require(total > 0, "the task has no validation sequences")
    return Sequences(joined(parts), f"the first {total} validation sequences")


def sequence_values(sequences: Sequences) -> dict[str, Any]:
    """Return sequences as values of a page. Real targets are NaN at steps that are not scored.

    Args:
        sequences: The sequences.
    """
    batch = sequences.batch
    return {
        "inputs": exact(batch.inputs) if batch.inputs.is_floating_point() else integers(batch.inputs),
        "targets": exact(batch.targets) if batch.targets.is_floating_point() else integers(batch.targets),
        "memory": integers(batch.needs_memory),
        "conditions": None if batch.condition is None else integers(batch.condition),
        "source": sequences.source,
    }


def answers_are_letters(codec: Codec, batch: Batch) -> bool:
    """Return whether each sequence asks for its letters in their order, as a page asks for them with typed letters.

    Then the codec's inputs for the letters of a sequence are the inputs of the sequence, and the answer, which starts
    at step ``delay + answer_per_letter * letters``, consists of the letters from the first one on.

    Args:
        codec: The conversion of the task's strings to symbols.
        batch: The sequences.
    """
    conditions = [None] * len(batch.inputs) if batch.condition is None else batch.condition.tolist()
    rows = zip(batch.inputs.tolist(), batch.targets.tolist(), batch.needs_memory.tolist(), conditions, strict=True)
    return all(is_row_of_letters(codec, *row) for row in rows)


def answers_are_next(codec: Codec, batch: Batch) -> bool:
    """Return whether the target of each step is the input of the next step, as in a stream of symbols.

    Args:
        codec: The conversion of the task's strings to symbols.
        batch: The sequences.
    """
    if codec.cue or codec.answer_at:
        return False
    outputs = codec.output_symbols or codec.symbols
    scored = batch.scored[:, :-1]
    targets, following = batch.targets[:, :-1][scored].tolist(), batch.inputs[:, 1:][scored].tolist()
    return bool(targets) and targets == following and all(outputs[i] == codec.symbols[i] for i in set(targets))


def is_row_of_letters(
    codec: Codec, inputs: list[int], targets: list[int], memory: list[bool], condition: int | None
) -> bool:
    """Return whether a sequence asks for its letters, see :func:`answers_are_letters`.

    Args:
        codec: The conversion of the task's strings to symbols.
        inputs: The symbols of the sequence.
        targets: The targets of the sequence.
        memory: Whether each step counts in the accuracy.
        condition: The condition of the sequence; None without one.
    """
    letters = {codec.index(letter) for letter in codec.letters}
    count = next((step for step, symbol in enumerate(inputs) if symbol not in letters), len(inputs))
    typed = inputs[: codec.num_letters or count]
    steps = [step for step, counts in enumerate(memory) if counts]
    if not typed or not set(typed) <= letters or not steps:
        return False
    delay = steps[0] - codec.answer_per_letter * len(typed)
    if not codec.min_delay <= delay <= codec.max_delay or (codec.conditional and delay != condition):
        return False
    text = "".join(codec.symbols[symbol] for symbol in typed)
    expected = codec.encode([text], delay).inputs[0].tolist()
    outputs = codec.output_symbols or codec.symbols
    end = len(expected)
    return (
        inputs[:end] == expected
        and steps == list(range(steps[0], end))
        and "".join(outputs[targets[step]] for step in steps) == text[: len(steps)]
        and all(target == NOT_SCORED for target in targets[end:])
    )
