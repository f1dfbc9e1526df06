"""The task of a run as values of a page: symbols, strings, baseline, plateaus, grammar."""

from collections.abc import Mapping, Sequence
from typing import Any

from rnn_tasks.explorer.sequences import Sequences, answers_are_letters, answers_are_next
from rnn_tasks.printable import printable
from rnn_tasks.report.run_data import RunData
from rnn_tasks.runs.data_text import data_text
from rnn_tasks.runs.summary_text import stored_plateaus
from rnn_tasks.spec import Batch, Codec, TaskSpec
from rnn_tasks.spec.vocabulary import UNPRINTABLE, Vocabulary, visible
from rnn_tasks.tasks import ElmanGrammar, Task
from rnn_tasks.texts.grammar import ELMAN

EXAMPLE_CHARACTERS, EXAMPLE_LETTERS = 40, 20
"""Length of the text, and usual length of the string, that a page shows first."""

MAX_LETTERS = 2_000
"""Largest length of a string that a page shows first; a page refuses longer ones anyway."""

BLANK = "\N{MIDDLE DOT}"
"""The printed form of a blank that is a space."""


def task_values(runs: Sequence[RunData], sequences: Sequences | None) -> dict[str, Any]:
    """Return the task of one or two runs as values of a page.

    Args:
        runs: The runs; the strings are those of the first one.
        sequences: The stored sequences; None without any.
    """
    spec = runs[0].network.spec
    task = next((run.task for run in runs if run.task is not None), None)
    summary = next((run.summary for run in runs if run.summary.get("baseline")), {})
    return {
        "name": printable(runs[0].task_name),
        "options": options_text(runs),
        "is_text": spec.vocabulary is not None,
        "real_inputs": spec.real_inputs,
        "real_targets": spec.real_targets,
        "input_size": spec.input_size,
        "output_size": spec.output_size,
        "input_symbols": [] if spec.real_inputs else printed_symbols(spec),
        "output_symbols": [] if spec.real_targets else printed_symbols(spec, outputs=True),
        "blank": spec.blank,
        "strings": string_values(spec, sequences),
        "baseline": baseline_values(summary, task),
        "plateaus": plateau_values(summary, task),
        "grammar": grammar_values(task),
    }


def options_text(runs: Sequence[RunData]) -> str:
    """Return the task and its options in one line; only the name of the task if the runs have different options.

    Args:
        runs: The runs.

    Raises:
        UsageError: The section data of a config.yaml is damaged.
    """
    texts = {data_text(run.config) for run in runs}
    return texts.pop() if len(texts) == 1 else printable(runs[0].task_name)


def printed_symbols(spec: TaskSpec, outputs: bool = False) -> list[str]:
    """Return one printed character for each symbol; the numbers of the symbols for a task without strings.

    Args:
        spec: The sizes and strings of the task.
        outputs: Whether to return the output symbols instead of the input symbols.
    """
    size = spec.output_size if outputs else spec.input_size
    if spec.vocabulary is not None:
        return [UNPRINTABLE, *map(visible, spec.vocabulary.characters)][:size]
    if spec.codec is None:
        return [str(number) for number in range(size)]
    characters = (outputs and spec.codec.output_symbols) or spec.codec.symbols
    blank = None if spec.blank is None else spec.codec.symbols[spec.blank]
    return [BLANK if character == blank == " " else visible(character) for character in characters[:size]]


def string_values(spec: TaskSpec, sequences: Sequences | None) -> dict[str, Any] | None:
    """Return how typed strings become symbols; None for a task without strings.

    Args:
        spec: The sizes and strings of the task.
        sequences: The stored sequences, which show whether the targets of typed strings are known; None without any.
    """
    if spec.vocabulary is not None:
        characters = spec.vocabulary.characters
        return {
            "letters": list(characters),
            "letter_symbols": list(range(1, len(characters) + 1)),
            "unknown": 0,
            "cue": [],
            "answer_per_letter": 0,
            "answer_at": [],
            "not_before": [],
            "min_delay": 0,
            "max_delay": 0,
            "conditional": False,
            "num_letters": 0,
            "answers": "next",
            "example": example_text(spec.vocabulary, sequences),
            "example_delay": 0,
        }
    codec = spec.codec
    if codec is None:
        return None
    delay = (codec.min_delay + codec.max_delay) // 2
    return {
        "letters": list(codec.letters),
        "letter_symbols": [codec.index(letter) for letter in codec.letters],
        "unknown": None,
        "cue": [list(part) for part in codec.cue],
        "answer_per_letter": codec.answer_per_letter,
        "answer_at": list(codec.answer_at),
        "not_before": list(codec.not_before),
        "min_delay": codec.min_delay,
        "max_delay": codec.max_delay,
        "conditional": codec.conditional,
        "num_letters": codec.num_letters,
        "answers": None if sequences is None else known_answers(codec, sequences.batch),
        "example": example_letters(codec, delay, sequences),
        "example_delay": delay,
    }


def known_answers(codec: Codec, batch: Batch) -> str | None:
    """Return how the targets of a typed string follow from it.

    Args:
        codec: The conversion of the task's strings to symbols.
        batch: The stored sequences.

    Returns:
        ``letters`` if the string is repeated, ``next`` if the target of a step is the next letter; None if the page
        does not know the targets.
    """
    if answers_are_letters(codec, batch):
        return "letters"
    return "next" if answers_are_next(codec, batch) else None


def example_text(vocabulary: Vocabulary, sequences: Sequences | None) -> str:
    """Return the text that a page shows first: the first words of the validation text, or the vocabulary's prefix.

    Args:
        vocabulary: The characters of the task.
        sequences: Pieces of the validation text; None without any.
    """
    if sequences is not None:
        symbols = sequences.batch.inputs[0].tolist()
        text = vocabulary.decode(symbols) if all(symbols) else ""
        words = text.lstrip() if text.startswith(" ") else text.partition(" ")[2]
        if words:
            return words[:EXAMPLE_CHARACTERS]
    return vocabulary.prefix or vocabulary.characters[:1]


def example_letters(codec: Codec, delay: int, sequences: Sequences | None) -> str:
    """Return the string that a page shows first: the example of the task, or its letters in order, repeated.

    Args:
        codec: The conversion of the task's strings to symbols.
        delay: The delay that the page shows first; the string is longer, so that the answer is not empty.
        sequences: The stored sequences, whose length the string has if it is at most 20; None without any.
    """
    if codec.sample:
        return codec.sample
    longest = EXAMPLE_LETTERS if sequences is None else min(EXAMPLE_LETTERS, sequences.batch.inputs.shape[1])
    size = min(codec.num_letters or max(longest, delay + 3), MAX_LETTERS)
    return (codec.letters * size)[:size]


def baseline_values(summary: Mapping[str, Any], task: Task | None) -> dict[str, Any] | None:
    """Return the baseline of the validation, from the summary of the run if it has one; None without both.

    The accuracy is None or NaN for real values.

    Args:
        summary: The contents of summary.json.
        task: The task, whose n-gram takes some seconds; None if it cannot be built.
    """
    stored = summary.get("baseline")
    if stored:
        stored = stored.get("val", stored)
        return {
            "loss": stored["loss"],
            "accuracy": stored.get("accuracy"),
            "name": stored.get("name", "chance"),
            "floor": stored.get("floor"),
        }
    if task is None:
        return None
    baseline = task.baseline_on("val")
    return {
        "loss": baseline.loss,
        "accuracy": baseline.accuracy,
        "name": baseline.name,
        "floor": baseline.floor,
    }


def plateau_values(summary: Mapping[str, Any], task: Task | None) -> list[dict[str, Any]]:
    """Return the scores of partial solutions and references, from the task, or else from the summary of the run.

    Args:
        summary: The contents of summary.json.
        task: The task; None if it cannot be built.
    """
    if task is not None:
        return [plateau._asdict() for plateau in task.plateaus]
    return [plateau._asdict() for plateau in stored_plateaus(summary.get("baseline", {}))]


def grammar_values(task: Task | None) -> dict[str, Any] | None:
    """Return the sentences of Elman's grammar and their probabilities; None for another task.

    Args:
        task: The task; None if it cannot be built.
    """
    if not isinstance(task, ElmanGrammar):
        return None
    return {"sentences": list(ELMAN.sentences), "probabilities": ELMAN.probabilities.tolist()}
