from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from rnn_tasks.analysis.next_character import next_character_distributions
from rnn_tasks.cores import GRU
from rnn_tasks.errors import UsageError
from rnn_tasks.networks import LanguageNetwork
from rnn_tasks.spec import TaskSpec
from rnn_tasks.spec.vocabulary import Vocabulary
from rnn_tasks.texts.grammar import ELMAN

TEXT = ELMAN.corpus(60, seed=0)


VOCABULARY = Vocabulary.from_text(TEXT)


SPEC = TaskSpec(len(VOCABULARY), len(VOCABULARY), vocabulary=VOCABULARY)


def make_network(**options: Any) -> LanguageNetwork:
    return LanguageNetwork(partial(GRU, hidden_size=12), SPEC, **options)


@pytest.mark.parametrize("training", [True, False])
def test_distributions_predict_the_greedy_continuation(training: bool) -> None:
    network = make_network(dropout=0.5).train(training)
    text = network.generate("the", 20, temperature=0)
    assert "<" not in text  # no unknown characters
    result = next_character_distributions(network, text)
    assert network.training == training
    assert result.characters == ("<unk>", *VOCABULARY.characters)
    assert result.probabilities.shape == (23, len(VOCABULARY))
    np.testing.assert_allclose(result.probabilities.sum(axis=1), 1)
    predicted = [result.characters[column] for column in result.probabilities.argmax(axis=1)]
    assert "".join(predicted[2:-1]) == text[3:]


def test_distributions_are_the_softmax_of_the_logits() -> None:
    network = make_network()
    result = next_character_distributions(network, "a ?")
    symbols = torch.tensor([[*VOCABULARY.encode("a "), 0]])
    for row in range(3):
        logits = network(symbols[:, : row + 1])[0][0, -1].tolist()
        powers = np.exp(np.array(logits))
        np.testing.assert_allclose(result.probabilities[row], powers / powers.sum(), rtol=1e-5)


def test_distributions_raise_for_unusable_arguments() -> None:
    with pytest.raises(UsageError, match="prefix must have at least one character"):
        next_character_distributions(make_network(), "")
    network = LanguageNetwork(partial(GRU, hidden_size=3), TaskSpec(4, 4))
    with pytest.raises(UsageError, match="this network was not trained on text"):
        next_character_distributions(network, "a")
    diverged = make_network()
    with torch.no_grad():
        diverged.readout.bias.fill_(torch.nan)
    with pytest.raises(UsageError, match="probabilities must be finite: the network has diverged"):
        next_character_distributions(diverged, "a")
