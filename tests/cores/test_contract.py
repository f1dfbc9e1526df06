"""What every recurrent layer must do, in double precision unless a test says otherwise."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor

from rnn_tasks.cores import Core, State, map_state
from rnn_tasks.cores.state import state_numbers
from tests.helpers.layers import CORES, MODERN

LAYERS = CORES | MODERN


@pytest.fixture(params=LAYERS)
def core(request: pytest.FixtureRequest) -> Core:
    torch.manual_seed(0)
    return LAYERS[request.param](3).double().eval()


@pytest.fixture(params=MODERN)
def modern(request: pytest.FixtureRequest) -> Core:
    torch.manual_seed(0)
    return MODERN[request.param](3).double()


def random_inputs(batch: int = 2, time: int = 70) -> Tensor:
    return torch.randn(batch, time, 3, generator=torch.Generator().manual_seed(1), dtype=torch.double)


def test_layer_run_step_by_step_equals_the_whole_sequence(core: Core) -> None:
    inputs = random_inputs()
    whole, whole_end = core(inputs)
    outputs, state = [], None
    for step_inputs in inputs.unbind(1):
        output, state = core(step_inputs[:, None], state)
        outputs.append(output)
    torch.testing.assert_close(torch.cat(outputs, 1), whole, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(state, whole_end, rtol=1e-9, atol=1e-9)


def test_layer_continues_from_the_state_at_a_cut(core: Core) -> None:
    inputs = random_inputs()
    whole, whole_end = core(inputs)
    first, state = core(inputs[:, :37])
    second, end = core(inputs[:, 37:], state)
    torch.testing.assert_close(torch.cat([first, second], 1), whole, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(end, whole_end, rtol=1e-9, atol=1e-9)
    assert not torch.allclose(core(inputs[:, 37:])[0], second)


def test_layer_starts_from_a_state_of_zeros(core: Core) -> None:
    inputs = random_inputs(time=5)
    outputs, state = core(inputs)
    zeros = map_state(state, torch.zeros_like)
    torch.testing.assert_close(core(inputs, zeros), (outputs, state))


def test_outputs_ignore_other_sequences_and_later_steps(core: Core) -> None:
    inputs = random_inputs()
    changed = inputs.clone()
    changed[1, 40:] += 1
    before, after = core(inputs)[0], core(changed)[0]
    assert torch.equal(before[0], after[0]) or torch.allclose(before[0], after[0], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(before[1, :40], after[1, :40], rtol=1e-12, atol=1e-12)
    assert not torch.allclose(before[1, 40:], after[1, 40:])


def test_state_size_counts_the_numbers_of_the_state(core: Core) -> None:
    _, state = core(random_inputs(batch=3, time=2))
    assert 3 * core.state_size == state_numbers(state)

    def check(values: Tensor) -> Tensor:
        assert values.is_floating_point()
        assert values.shape[1 if values.ndim == 3 else 0] == 3
        return values

    map_state(state, check)


def test_eigenvalues_are_complex_numbers(core: Core) -> None:
    for values in core.eigenvalues(random_inputs(time=4)).values():
        assert values.dtype == torch.complex128
        assert not values.requires_grad
        assert values.ndim == 1 or values.shape[:2] == (2, 4)
        assert values.isfinite().all()


def test_input_weights_multiply_the_input(core: Core) -> None:
    weights = core.input_weights()
    assert {weight.shape[-1] for weight in weights} == {3}
    inputs = random_inputs(time=6)
    with torch.no_grad():
        for weight in weights:
            weight.zero_()
    torch.testing.assert_close(core(inputs)[0], core(torch.zeros_like(inputs))[0])


def test_gradients_equal_numerical_gradients(modern: Core) -> None:
    inputs = random_inputs(time=4).requires_grad_()
    _, state = modern(random_inputs(time=2))
    leaves: list[Tensor] = []
    map_state(state, lambda values: leaves.append(values.detach().requires_grad_()) or values)  # type: ignore[func-returns-value]
    names = [name for name, parameter in modern.named_parameters() if parameter.requires_grad]

    def run(inputs: Tensor, *values: Tensor) -> tuple[Tensor, ...]:
        states = iter(values[: len(leaves)])
        start = map_state(state, lambda _: next(states))
        weights = dict(zip(names, values[len(leaves) :], strict=True))
        outputs, end = torch.func.functional_call(modern, weights, (inputs, start))
        ends: list[Tensor] = []
        map_state(end, lambda values: ends.append(values) or values)  # type: ignore[func-returns-value]
        return outputs, *ends

    parameters = [dict(modern.named_parameters())[name] for name in names]
    assert torch.autograd.gradcheck(run, (inputs, *leaves, *parameters), fast_mode=True)


def test_every_trained_parameter_has_a_gradient(modern: Core) -> None:
    modern(random_inputs())[0].square().sum().backward()
    for name, parameter in modern.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name


def test_layer_accepts_an_empty_batch(modern: Core) -> None:
    inputs = torch.zeros(0, 5, 3, dtype=torch.double)
    outputs, _ = modern(inputs)
    assert outputs.shape == (0, 5, modern.hidden_size)
    outputs.sum().backward()
    assert all(values.ndim == 1 or values.shape[:2] == (0, 5) for values in modern.eigenvalues(inputs).values())


def test_single_precision_is_close_to_double(modern: Core) -> None:
    inputs = random_inputs()
    expected = modern(inputs)[0]
    single = modern.float()(inputs.float())[0]
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), expected, rtol=1e-3, atol=1e-3)


def test_mixed_precision_is_close_to_single(modern: Core) -> None:
    modern.float()
    inputs = random_inputs(time=20).float()
    expected = modern(inputs)[0]
    with torch.autocast("cpu", torch.bfloat16):
        outputs, state = modern(inputs)
        again, _ = modern(inputs, state)
        (outputs.float().sum() + again.float().sum()).backward()
    error = (outputs.float() - expected).norm() / expected.norm()
    assert error < 0.1
    assert all(p.grad.isfinite().all() for p in modern.parameters() if p.grad is not None)


def test_state_dict_restores_a_layer(modern: Core, request: pytest.FixtureRequest) -> None:
    build: Callable[[int], Core] = MODERN[request.node.callspec.params["modern"]]
    restored = build(3).double()
    restored.load_state_dict(modern.state_dict())
    inputs = random_inputs(time=6)
    torch.testing.assert_close(restored(inputs)[0], modern(inputs)[0], rtol=0, atol=0)


def test_a_deep_copy_is_independent(modern: Core) -> None:
    copy: Any = deepcopy(modern)
    inputs = random_inputs(time=6)
    before = modern(inputs)[0]
    torch.testing.assert_close(copy(inputs)[0], before, rtol=0, atol=0)
    with torch.no_grad():
        for parameter in copy.parameters():
            parameter.add_(1)
    torch.testing.assert_close(modern(inputs)[0], before, rtol=0, atol=0)


def test_parameters_are_real(modern: Core) -> None:
    assert all(parameter.is_floating_point() for parameter in modern.parameters())


def test_inputs_and_given_states_are_not_overwritten(modern: Core) -> None:
    inputs = random_inputs(time=6)
    _, state = modern(inputs)
    kept: tuple[Tensor, State] = inputs.clone(), map_state(state, lambda values: values.detach().clone())
    modern(inputs, state)[0].sum().backward()
    torch.testing.assert_close((inputs, map_state(state, torch.detach)), kept, rtol=0, atol=0)
