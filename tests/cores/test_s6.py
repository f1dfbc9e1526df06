import math
from pathlib import Path

import numpy as np
import pytest
import torch

from rnn_tasks.cores import S6, differentiable_twice
from rnn_tasks.cores.selective_scan import SelectiveScan, selective_scan
from rnn_tasks.errors import UsageError

REFERENCE = Path(__file__).parent / "data" / "s6_mambapy.npz"


def test_s6_equals_a_published_implementation() -> None:
    """Compare outputs and all gradients with stored results of the package mambapy 1.2.0.

    ``s6_mambapy.npz`` holds random parameters, inputs ``(2, 9, 3)``, outputs, and the gradients of everything for a
    random gradient of the outputs, in double precision. Class ``MambaBlock``, methods ``x_proj``, ``dt_proj`` and
    ``selective_scan_seq``, with 20 features, 3 states and rank 2, after a ``torch.nn.Linear`` that projects the inputs.
    """
    with np.load(REFERENCE) as file:
        stored = {name: torch.from_numpy(file[name]) for name in file}
    layer = S6(3, 20, num_states=3).double()
    layer.load_state_dict({name: stored[name] for name in layer.state_dict()})
    inputs = stored["inputs"].requires_grad_()
    outputs, _ = layer(inputs)
    gradients = torch.autograd.grad(outputs, [inputs, *layer.parameters()], stored["output_gradient"])
    expected = [stored["input_gradient"], *(stored[f"{name}.gradient"] for name, _ in layer.named_parameters())]
    torch.testing.assert_close(outputs, stored["outputs"], rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(list(gradients), expected, rtol=1e-8, atol=1e-8)


def random_arguments(time: int = 6) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    shapes = ((time, 2, 4), (time, 2, 4), (3, 4), (time, 2, 3), (time, 2, 3), (2, 3, 4))
    delta, values, rates, write, read, start = (torch.randn(shape, generator=generator).double() for shape in shapes)
    return delta.abs(), values, -rates.abs(), write, read, start


def test_selective_scan_equals_a_loop_over_all_numbers() -> None:
    delta, values, rates, write, read, start = random_arguments()
    outputs, end = selective_scan(delta, values, rates, write, read, start)
    for row in range(2):
        for feature in range(4):
            states = start[row, :, feature].tolist()
            for t in range(6):
                total = 0.0
                for n in range(3):
                    kept = math.exp(delta[t, row, feature] * rates[n, feature]) * states[n]
                    states[n] = kept + (values[t, row, feature] * write[t, row, n]).item()
                    total += (read[t, row, n] * states[n]).item()
                assert outputs[t, row, feature].item() == pytest.approx(total, abs=1e-12)
            assert end[row, :, feature].tolist() == pytest.approx(states, abs=1e-12)


def test_both_paths_of_the_scan_have_the_same_gradients() -> None:
    arguments = [x.requires_grad_() for x in random_arguments(time=70)]
    with differentiable_twice():
        expected = selective_scan(*arguments)
    results = SelectiveScan.apply(*arguments)  # type: ignore[no-untyped-call]
    torch.testing.assert_close(results, expected, rtol=1e-10, atol=1e-10)
    weights = [torch.randn_like(x) for x in results]
    gradients = [torch.autograd.grad(ends, arguments, weights) for ends in (results, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-10, atol=1e-10)


def test_scan_accepts_transposed_gradients_and_arguments() -> None:
    arguments = random_arguments()
    turned = [x.transpose(0, 1).contiguous().transpose(0, 1).requires_grad_() for x in arguments]
    plain = [x.clone().requires_grad_() for x in arguments]
    weights = torch.randn(2, 6, 4).double().transpose(0, 1)
    expected = torch.autograd.grad(selective_scan(*plain)[0], plain, weights.contiguous())
    torch.testing.assert_close(torch.autograd.grad(selective_scan(*turned)[0], turned, weights), expected)


def test_s6_has_second_derivatives_only_on_request() -> None:
    layer, inputs = S6(2, 3, num_states=2), torch.randn(1, 4, 2, requires_grad=True)
    (slope,) = torch.autograd.grad(layer(inputs)[0].sum(), inputs, create_graph=False)
    with pytest.raises(UsageError, match="differentiable_twice"):
        torch.autograd.grad(layer(inputs)[0].sum(), inputs, create_graph=True)
    with differentiable_twice():
        (again,) = torch.autograd.grad(layer(inputs)[0].sum(), inputs, create_graph=True)
    torch.testing.assert_close(again, slope)
    assert torch.autograd.grad(again.square().sum(), inputs)[0].any()


def test_s6_starts_like_its_published_code() -> None:
    layer = S6(3, 32, num_states=5)
    torch.testing.assert_close(layer.log_rates.exp(), torch.arange(1.0, 6)[:, None].expand(5, 32))
    steps = torch.nn.functional.softplus(layer.step_size.bias)
    assert 0.001 <= steps.min() < 0.01 < steps.max() <= 0.1
    assert layer.step_size.weight.shape == (32, 2)
    assert layer.step_size.weight.abs().max() <= 2**-0.5


def test_s6_forgets_at_the_rate_of_its_eigenvalues() -> None:
    torch.manual_seed(0)
    layer = S6(3, 4, num_states=2).double()
    inputs = torch.randn(2, 1, 3).double()
    values = layer.eigenvalues(inputs)["diagonal"][:, 0]
    start = torch.randn(2, 8).double()
    difference = layer(inputs, start)[1] - layer(inputs)[1]
    torch.testing.assert_close(difference, values.real * start)
    assert not values.imag.any()


def test_only_the_rates_of_s6_are_recurrent() -> None:
    layer = S6(3, 4)
    roles = {name: layer.parameter_role(name) for name, _ in layer.named_parameters()}
    assert [name for name, role in roles.items() if role == "recurrent"] == ["log_rates"]
    assert [name for name, role in roles.items() if role == "input"] == ["projection.weight", "projection.bias"]


@pytest.mark.parametrize("options", [{"hidden_size": 0}, {"hidden_size": 4, "num_states": 0}])
def test_s6_rejects_sizes_below_1(options: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="must be at least 1"):
        S6(3, **options)


def test_s6_draws_step_sizes_between_its_bounds() -> None:
    steps = torch.nn.functional.softplus(S6(3, 1_000, dt_min=0.01, dt_max=1.0).step_size.bias).log10()
    torch.testing.assert_close(
        steps.quantile(torch.tensor([0.0, 0.5, 1.0])), torch.tensor([-2.0, -1, 0]), rtol=0, atol=0.2
    )
    with pytest.raises(UsageError, match="0 < dt_min <= dt_max"):
        S6(3, 4, dt_min=0.2)


def test_s6_has_eigenvalues_in_half_precision() -> None:
    (values,) = S6(3, 4).bfloat16().eigenvalues(torch.zeros(1, 2, 3, dtype=torch.bfloat16)).values()
    assert 0 < values.real.min() < values.real.max() < 1
