from typing import Any

import pytest
import torch
from torch import Tensor

from rnn_tasks.errors import UsageError
from rnn_tasks.spec import Batch, Grouping
from rnn_tasks.tasks import FlipFlopBits
from rnn_tasks.tasks.flip_flop_bits import flip_flop_bits
from tests.helpers.predictors import check_score

SIGNS = {"+": 1.0, "-": -1.0, ".": 0.0}


def integrated(batch: Batch, kept: float) -> Tensor:
    """Return pulses that are added up, where a share of the sum is kept from step to step."""
    answers = batch.inputs.clone()
    for step in range(1, answers.shape[1]):
        answers[:, step] += kept * answers[:, step - 1]
    return answers


def remembered(batch: Batch) -> Tensor:
    """Return the last pulse of each channel."""
    answers = batch.inputs.clone()
    for step in range(1, answers.shape[1]):
        answers[:, step] = torch.where(answers[:, step] == 0, answers[:, step - 1], answers[:, step])
    return answers


def test_flip_flop_bits_equals_the_diagram() -> None:
    channels = (("+ . - . . .", "+ + - - - -"), ("- . . - + .", "- - - - + +"))
    lags = "0 1 2 1 2 3"
    pulses, expected = (
        torch.tensor([[SIGNS[sign] for sign in pair[part].split()] for pair in channels]).T[None] for part in (0, 1)
    )
    targets, lag = flip_flop_bits(pulses)
    assert torch.equal(targets, expected)
    assert lag.tolist() == [[int(number) for number in lags.split()]]
    lines = [f"channel {index} {pulse}" for index, (pulse, _) in enumerate(channels)]
    lines += [f"target {target}" for _, target in channels] + [f"lag {lags}"]
    diagram = [" ".join(line.split()) for line in str(flip_flop_bits.__doc__).splitlines()]
    assert set(lines) <= set(diagram)


def test_targets_and_lags_equal_a_plain_definition() -> None:
    batch = FlipFlopBits(length=30, pulse_probability=0.2).sample(50, "train", torch.Generator().manual_seed(0))
    assert batch.group is not None
    for pulses, targets, lags in zip(batch.inputs.tolist(), batch.targets.tolist(), batch.group.tolist(), strict=True):
        last, ages = [0.0] * 3, [0] * 3
        for step, values in enumerate(pulses):
            assert set(values) <= {-1.0, 0.0, 1.0}
            assert step > 0 or 0.0 not in values
            last = [value or old for value, old in zip(values, last, strict=True)]
            ages = [0 if value else age + 1 for value, age in zip(values, ages, strict=True)]
            assert (targets[step], lags[step]) == (last, max(ages))


def test_pulses_have_their_probability_and_both_signs() -> None:
    task = FlipFlopBits(length=40, num_channels=2, pulse_probability=0.3)
    pulses = task.sample(1000, "train", torch.Generator().manual_seed(0)).inputs[:, 1:]
    assert (pulses == 1).float().mean().item() == pytest.approx(0.15, abs=0.01)
    assert (pulses == -1).float().mean().item() == pytest.approx(0.15, abs=0.01)


@pytest.mark.parametrize(("length", "num_channels", "probability"), [(64, 3, 0.5), (9, 2, 0.1)])
def test_baseline_and_plateaus_equal_simulated_scores(length: int, num_channels: int, probability: float) -> None:
    task = FlipFlopBits(length, num_channels, probability)
    memoryless, linear = task.plateaus
    check_score(task, lambda batch: torch.zeros_like(batch.targets), task.baseline.loss, None)
    check_score(task, lambda batch: batch.inputs, memoryless.loss, None)
    check_score(task, lambda batch: integrated(batch, 1 - probability), linear.loss, None)
    check_score(task, remembered, 0.0, None)


def test_no_other_linear_filter_is_better() -> None:
    task = FlipFlopBits(length=20, num_channels=1, pulse_probability=0.3)
    batch = task.sample(20_000, "train", torch.Generator().manual_seed(0))
    pulses, target = batch.inputs[:, :, 0].double(), batch.targets[:, -1].double()
    weights = torch.linalg.lstsq(pulses, target).solution.flatten()
    torch.testing.assert_close(weights.flip(0), 0.7 ** torch.arange(20).double(), atol=0.02, rtol=0)


def test_eval_lengths_change_the_length() -> None:
    task = FlipFlopBits(length=10, eval_lengths=[25], length_sequences=4)
    longer = task.longer_tests[25]
    (batch,) = longer.predict_dataloader()
    assert batch.inputs.shape == (4, 25, 3)
    assert (task.grouping, longer.grouping) == (Grouping("lag", 10), Grouping("lag", 25))
    assert longer.plateaus == FlipFlopBits(length=25).plateaus


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"length": 0}, "length must be at least 1, got 0"),
        ({"num_channels": 0}, "num_channels must be at least 1, got 0"),
        ({"pulse_probability": 0.0}, r"pulse_probability must be above 0 and below 1, got 0\.0"),
        ({"pulse_probability": 1.0}, r"pulse_probability must be above 0 and below 1, got 1\.0"),
    ],
)
def test_value_out_of_bounds_raises(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        FlipFlopBits(**arguments)
