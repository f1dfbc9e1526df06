"""Ratios and counts only: times depend on the machine."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rnn_tasks.analysis.cost import cost_of, costs_of, saved_bytes
from rnn_tasks.cores import GRU, Elman, Foreign
from rnn_tasks.errors import UsageError


class Product(nn.Module):
    """``y_t = w x_t``, or with more factors w: each product saves its left factor, for the gradient of w."""

    def __init__(self, input_size: int, hidden_size: int, repeats: int = 1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(hidden_size))
        self.repeats = repeats

    def forward(self, inputs: Tensor, state: Any = None) -> tuple[Tensor, Tensor]:
        outputs = inputs
        for _ in range(self.repeats):
            outputs = outputs * self.weight
        return outputs, inputs.new_zeros(len(inputs), 1)


def test_memory_is_what_the_layer_saves() -> None:
    layer = Foreign(4, 4, Product)
    assert saved_bytes(layer, torch.zeros(3, 5, 4)) == 4 * 3 * 5 * 4  # the inputs in single precision
    cost = cost_of(layer, batch_size=3, time_steps=5, repeats=1)
    assert cost.training_bytes == 4 * 3 * 4 * 1000


def test_memory_grows_with_batch_and_layer_but_not_with_steps() -> None:
    once = cost_of(Foreign(4, 4, Product), batch_size=2, time_steps=8, repeats=1).training_bytes
    assert cost_of(Foreign(4, 4, Product), batch_size=6, time_steps=8, repeats=1).training_bytes == 3 * once
    assert cost_of(Foreign(4, 4, Product), batch_size=2, time_steps=16, repeats=1).training_bytes == once
    five = Foreign(4, 4, Product, {"repeats": 5})
    assert cost_of(five, batch_size=2, time_steps=8, repeats=1).training_bytes == 5 * once


def test_layer_that_does_more_costs_more_time() -> None:
    layers = {"once": Foreign(4, 4, Product), "often": Foreign(4, 4, Product, {"repeats": 400})}
    costs = costs_of(layers, batch_size=2, time_steps=2, repeats=5)
    assert costs["often"].forward_us > 5 * costs["once"].forward_us
    assert costs["often"].training_us > 5 * costs["once"].training_us


def test_layer_without_gradients_holds_nothing() -> None:
    frozen = Elman(3, 4).requires_grad_(False)
    cost = cost_of(frozen, batch_size=2, time_steps=4, repeats=1)
    assert cost.training_bytes == 0
    assert cost.training_us > 0


def test_measuring_changes_neither_layer_nor_random_numbers() -> None:
    layer, threads = GRU(3, 4, dropout=0.5, num_layers=2), torch.get_num_threads()
    before = [weight.clone() for weight in layer.parameters()]
    state = torch.get_rng_state()
    cost_of(layer, batch_size=2, time_steps=4, repeats=1)
    assert layer.training
    assert all(weight.grad is None for weight in layer.parameters())
    assert all(torch.equal(*pair) for pair in zip(before, layer.parameters(), strict=True))
    assert torch.equal(state, torch.get_rng_state())
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("option", ["batch_size", "time_steps", "repeats"])
def test_cost_rejects_numbers_below_one(option: str) -> None:
    with pytest.raises(UsageError, match=f"{option} must be at least 1, got 0"):
        cost_of(Elman(3, 4), **{option: 0})
