"""Predicted next characters along the beginning of a text."""

import numpy as np

from rnn_tasks.analysis.next_character import Distributions, next_character_distributions
from rnn_tasks.errors import UsageError
from rnn_tasks.networks import LanguageNetwork
from rnn_tasks.plots.next_character import NextCharacters
from rnn_tasks.report.run_data import RunData
from rnn_tasks.tasks import ElmanGrammar
from rnn_tasks.tasks.language_task import LanguageTask
from rnn_tasks.texts.grammar import ELMAN

PREFIX = 32
"""Number of characters of the text."""


def next_characters_of(run: RunData) -> NextCharacters | None:
    """Return the predictions of a run along the beginning of its test text; None if the run is not on a text.

    Args:
        run: The run.

    Raises:
        UsageError: The network has diverged.
    """
    if not isinstance(run.task, LanguageTask) or not isinstance(run.network, LanguageNetwork):
        return None
    text = run.task.text("test")[:PREFIX]
    predicted: Distributions = next_character_distributions(run.network, text)
    return NextCharacters(text, predicted.characters, predicted.probabilities)


def exact_probabilities(run: RunData, predicted: NextCharacters) -> NextCharacters | None:
    """Return the probabilities that the grammar gives along the same text; None if the text is not from a grammar.

    Args:
        run: The run.
        predicted: The predictions of the run.
    """
    if not isinstance(run.task, ElmanGrammar):
        return None
    rows = np.zeros_like(predicted.probabilities)
    try:
        for index in range(len(predicted.text)):
            for character, probability in ELMAN.next_character(predicted.text[: index + 1]).items():
                rows[index, predicted.characters.index(character)] = probability
    except UsageError:  # the text begins in the middle of a sentence
        return None
    return predicted._replace(probabilities=rows)


CAPTION = (
    "The predicted probability of the next character after each character at the beginning of the test text. Dots: the "
    "actual next characters."
)
CAPTION_OF_GRAMMAR = " Last panel: the exact probabilities of the grammar, which no predictor can improve on."
