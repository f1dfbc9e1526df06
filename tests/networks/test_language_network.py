import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from rnn_tasks.cores import Normal
from rnn_tasks.errors import UsageError
from rnn_tasks.networks import LanguageNetwork
from rnn_tasks.spec import TaskSpec
from tests.helpers.networks import TEXT, TEXT_CORES, language_network


@pytest.mark.parametrize("core", TEXT_CORES)
@pytest.mark.parametrize("embedding_size", [None, 3])
def test_loss_and_gradient_of_chunks_equal_the_whole_text(core: str, embedding_size: int | None) -> None:
    network = language_network(core, embedding_size=embedding_size).double()
    symbols = torch.randint(0, 5, (2, 13))
    inputs, targets = symbols[:, :-1], symbols[:, 1:]

    def gradient(*chunks: slice) -> tuple[Tensor, dict[str, Tensor]]:
        loss, state = torch.zeros((), dtype=torch.double), None
        for chunk in chunks:
            logits, state = network(inputs[:, chunk], state=state)
            loss = loss + cross_entropy(logits, targets[:, chunk])
        values = torch.autograd.grad(loss, list(network.parameters()))
        return loss, dict(zip(dict(network.named_parameters()), values, strict=True))

    whole, parts = gradient(slice(None)), gradient(slice(0, 5), slice(5, 6), slice(6, 12))
    torch.testing.assert_close(parts, whole, rtol=1e-10, atol=1e-12)


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the sum of the losses, computed one character at a time."""
    probabilities = torch.stack([row.exp() / row.exp().sum() for row in logits.flatten(0, 1)])
    pairs = zip(probabilities, targets.flatten(), strict=True)
    return -torch.stack([row[target].log() for row, target in pairs]).sum()


def test_dropout_acts_in_training_only() -> None:
    network = language_network(dropout=0.5)
    inputs = torch.randint(0, 5, (2, 7))
    assert not torch.equal(network(inputs)[0], network(inputs)[0])
    network.eval()
    assert torch.equal(network(inputs)[0], network(inputs)[0])


def test_readout_init_fills_the_readout() -> None:
    readout = language_network(readout_init=Normal(0.5)).readout
    assert readout.weight.std().item() == pytest.approx(0.5, rel=0.4)
    assert not readout.bias.any()


@pytest.mark.parametrize("dropout", [-0.1, 1.0])
def test_language_network_rejects_dropout_outside_its_bounds(dropout: float) -> None:
    with pytest.raises(UsageError, match="dropout must be at least 0 and below 1"):
        language_network(dropout=dropout)


# Generation


def greedy_continuation(network: LanguageNetwork, prefix: str, length: int) -> str:
    """Return the most likely continuation; the network reads the whole text again for each character."""
    network.eval()
    vocabulary = TEXT.vocabulary
    assert vocabulary is not None
    symbols = vocabulary.encode(prefix).tolist()
    for _ in range(length):
        symbols.append(int(network(torch.tensor([symbols]))[0][0, -1].argmax()))
    return prefix + vocabulary.decode(symbols[len(prefix) :])


@pytest.mark.parametrize("core", TEXT_CORES)
def test_generate_is_greedy_when_temperature_is_0(core: str) -> None:
    network = language_network(core)
    with torch.no_grad():
        network.readout.bias.copy_(torch.tensor([-1.0, 0.0, 0.1, 0.2, 0.3]))
    assert network.generate("ab", 12, temperature=0) == greedy_continuation(network, "ab", 12)


def test_generate_draws_from_softmax_of_logits_over_temperature() -> None:
    network = language_network()
    with torch.no_grad():
        network.readout.weight.zero_()  # the same probabilities at each step
        network.readout.bias.copy_(torch.tensor([-50.0, 1.0, 0.0, -1.0, 0.5]))
    text = network.generate("a", 4000, temperature=0.5, seed=3)[1:]
    probabilities = functional.softmax(network.readout.bias.detach() / 0.5, -1)[1:].tolist()
    for character, probability in zip("abc ", probabilities, strict=True):
        assert text.count(character) / 4000 == pytest.approx(probability, abs=4 * math.sqrt(probability / 4000))


def test_generate_is_reproducible_and_has_no_side_effects() -> None:
    network = language_network(dropout=0.5)
    network.core.eval()  # the other modules stay in training mode
    modes = [module.training for module in network.modules()]
    random_state = torch.get_rng_state()
    first = network.generate("ab", 40, temperature=1, seed=5)
    assert network.generate("ab", 40, temperature=1, seed=5) == first
    assert network.generate("ab", 40, temperature=1, seed=6) != first
    assert torch.equal(torch.get_rng_state(), random_state)
    assert network.training
    assert [module.training for module in network.modules()] == modes
    assert all(parameter.grad is None for parameter in network.parameters())
    assert first.startswith("ab")


def test_generate_treats_unknown_characters_as_one_symbol() -> None:
    network = language_network()
    assert network.generate("X!", 8, seed=1)[2:] == network.generate("YZ", 8, seed=1)[2:]
    with torch.no_grad():
        network.readout.bias.copy_(torch.tensor([50.0, 0, 0, 0, 0]))
    assert network.generate("a", 2) == "a<unk><unk>"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prefix": ""}, "prefix of at least one character"),
        ({"length": -1}, "length must be at least 0"),
        ({"temperature": -0.5}, r"temperature must be at least 0, got -0\.5"),
        ({"temperature": math.nan}, "temperature must be at least 0"),
        ({"temperature": math.inf}, "temperature must be at least 0"),
    ],
)
def test_generate_rejects_values_outside_their_bounds(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        language_network().generate(**{"prefix": "a", "length": 3, **arguments})


def test_generate_fails_when_the_network_has_no_vocabulary() -> None:
    with pytest.raises(UsageError, match="not trained on text"):
        language_network("GRU", TaskSpec(3, 3)).generate("a", 1)
