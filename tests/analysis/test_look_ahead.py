from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rnn_tasks.analysis.look_ahead import first_look_ahead
from rnn_tasks.errors import UsageError
from tests.helpers.layers import CORES, MODERN


class Ahead(nn.Module):
    """``y_t = x_t + scale * x_{t + lead}`` as far as there are inputs: a layer that looks ahead by ``lead`` steps."""

    def __init__(self, lead: int, scale: float = 1.0) -> None:
        super().__init__()
        self.lead, self.scale = lead, scale

    def forward(self, inputs: Tensor, state: Any = None) -> tuple[Tensor, None]:
        outputs = inputs.clone()
        outputs[:, : -self.lead] += self.scale * inputs[:, self.lead :]
        return outputs, None


@pytest.mark.parametrize("name", [*CORES, *MODERN])
def test_no_layer_of_the_package_looks_ahead(name: str) -> None:
    torch.manual_seed(0)
    core = {**CORES, **MODERN}[name](3)
    state = torch.get_rng_state()
    assert first_look_ahead(core, 3, time_steps=12) is None
    assert core.training
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("lead", [1, 3, 39])
def test_evidence_names_output_and_input(lead: int) -> None:
    evidence = first_look_ahead(Ahead(lead), 2)
    assert evidence is not None
    assert evidence.input_step - evidence.output_step == lead
    generator = torch.Generator().manual_seed(0)
    inputs, others = (torch.randn(2, 40, 2, generator=generator) for _ in range(2))
    assert evidence.change == pytest.approx(float((inputs - others)[:, lead:].abs().max()))


def test_evidence_as_a_sentence_counts_from_one() -> None:
    evidence = first_look_ahead(Ahead(39), 2)
    assert evidence is not None
    assert evidence.text.startswith("the output at step 1 changes by ")
    assert "only the input at step 40 changes" in evidence.text


def test_small_dependence_is_found_and_rounding_is_not() -> None:
    assert first_look_ahead(Ahead(1, scale=0.01), 2) is not None
    assert first_look_ahead(Ahead(1, scale=1e-7), 2) is None


def test_layer_in_two_directions_looks_ahead() -> None:
    assert first_look_ahead(nn.GRU(2, 3, batch_first=True, bidirectional=True), 2) is not None


def test_layer_that_centres_over_time_looks_ahead() -> None:
    class Centred(nn.Module):
        def forward(self, inputs: Tensor, state: Any = None) -> tuple[Tensor, None]:
            return inputs - inputs.mean(1, keepdim=True), None

    assert first_look_ahead(Centred(), 2) is not None


def test_later_input_that_makes_outputs_nan_is_found() -> None:
    class Poisoned(nn.Module):
        def forward(self, inputs: Tensor, state: Any = None) -> tuple[Tensor, None]:
            is_first = bool(inputs[0, 5, 0] == inputs_seen[0])
            return inputs if is_first else inputs * torch.nan, None

    inputs_seen = torch.randn(2, 40, 2, generator=torch.Generator().manual_seed(0))[0, 5, :1]
    evidence = first_look_ahead(Poisoned(), 2)
    assert evidence is not None
    assert (evidence.input_step, evidence.change) == (5, float("inf"))


def test_random_layer_does_not_look_ahead() -> None:
    class Noisy(nn.Module):
        def forward(self, inputs: Tensor, state: Any = None) -> tuple[Tensor, None]:
            return inputs + torch.randn_like(inputs), None

    assert first_look_ahead(Noisy(), 2) is None


def test_look_ahead_rejects_too_short_sequences() -> None:
    with pytest.raises(UsageError, match="time_steps must be at least 2, got 1"):
        first_look_ahead(Ahead(1), 2, time_steps=1)
