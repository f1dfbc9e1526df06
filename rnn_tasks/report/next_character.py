"""What a network expects next, character by character along the beginning of a text."""

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
"""Characters of the text."""


def next_characters_of(run: RunData) -> NextCharacters | None:
    """Return the predictions of a run along the beginning of its test text; None if it does not read a text.

    Args:
        run: The run.

    Raises:
        UsageError: The network has diverged.
    """
    if not isinstance(run.task, LanguageTask) or not isinstance(run.network, LanguageNetwork):
        return None
    text = run.task.text("test")[:PREFIX]
    found: Distributions = next_character_distributions(run.network, text)
    return NextCharacters(text, found.characters, found.probabilities)


def exact_odds(run: RunData, along: NextCharacters) -> NextCharacters | None:
    """Return the exact probabilities along the same text; None if the text is not from a grammar.

    Args:
        run: The run.
        along: What the run expects.
    """
    if not isinstance(run.task, ElmanGrammar):
        return None
    rows = np.zeros_like(along.probabilities)
    try:
        for index in range(len(along.text)):
            for character, odds in ELMAN.next_character(along.text[: index + 1]).items():
                rows[index, along.characters.index(character)] = odds
    except UsageError:  # the text begins in the middle of a sentence
        return None
    return along._replace(probabilities=rows)


CAPTION = (
    "What is expected next after each character of the beginning of the test text; the dots are the characters that do "
    "come next."
)
CAPTION_OF_GRAMMAR = " Below, the exact odds, which the grammar gives: no predictor can know more."
