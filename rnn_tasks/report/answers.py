"""What a network answers, and how its symbols are written."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from rnn_tasks.analysis.flow import evaluating
from rnn_tasks.models import LanguageModel, RecurrentModel
from rnn_tasks.report.run_data import Subject
from rnn_tasks.spec import Batch

WRITTEN = {"\n": "\N{DOWNWARDS ARROW WITH CORNER LEFTWARDS}", "\t": "\N{RIGHTWARDS ARROW TO BAR}"}
STRANGE = "\N{WHITE SQUARE}"
"""How a symbol is written that is no single printable character, such as one that stands for all unknown ones."""


@torch.no_grad()
def answers(model: RecurrentModel, batch: Batch) -> Tensor:
    """The likeliest symbol at each step, ``(batch, time)``.

    Args:
        model: The network.
        batch: What it reads, from a state of zeros.
    """
    with evaluating(model):
        # A language model's ``logits`` would leave a state behind.
        logits: Tensor = model(batch.inputs)[0] if isinstance(model, LanguageModel) else model.logits(batch, "predict")
    return logits.argmax(-1)


def is_text(subject: Subject) -> bool:
    """Whether it predicts characters of a text."""
    return subject.model.spec.vocabulary is not None


def written(characters: Iterable[str]) -> str:
    """Characters as text in which each has the width of one.

    Example:
        >>> written(["a", " ", chr(10), "<unk>"])
        'a ↵□'
    """
    return "".join(c if len(c) == 1 and c.isprintable() else WRITTEN.get(c, STRANGE) for c in characters)


def short(subjects: Sequence[Subject], one: str) -> list[str]:
    """Names for narrow places: the letters of several runs, or a word for the only one.

    Args:
        subjects: The runs.
        one: The word.
    """
    return [one] if len(subjects) == 1 else [subject.letter for subject in subjects]


def about(subjects: Sequence[Subject], subject: Subject, what: str) -> str:
    """What a line of what is missing begins with: whose it is, where there are several.

    Args:
        subjects: All runs.
        subject: The one that lacks it.
        what: What it lacks.
    """
    return what if len(subjects) == 1 else f"{subject.label}: {what}"


def stem(subjects: Sequence[Subject], subject: Subject, name: str) -> str:
    """The stem of the files of a picture that each run has for itself.

    Args:
        subjects: All runs.
        subject: The one that is drawn.
        name: What is drawn.
    """
    return name if len(subjects) == 1 else f"{name}_{subject.letter.lower()}"
