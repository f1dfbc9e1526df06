"""Tests of the scan over matrices, compared with its equations step by step."""

from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from rnn_tasks.cores.matrix_scan import CHUNK, matrix_scan, step_eigenvalues

SIZES = {"batch": 2, "heads": 3, "d_k": 4, "d_v": 5}


def operands(time: int, writes: int = 1, decays: bool = True) -> dict[str, Any]:
    """Return random arguments of the scan in double precision, with unit keys and beta between 0 and 2."""
    generator = torch.Generator().manual_seed(time)

    def draw(*shape: int) -> Tensor:
        return torch.randn(SIZES["batch"], *shape, generator=generator, dtype=torch.double)

    heads, d_k, d_v = SIZES["heads"], SIZES["d_k"], SIZES["d_v"]
    drawn = {
        "query": draw(time, heads, d_k),
        "key": functional.normalize(draw(time * writes, heads, d_k), dim=-1),
        "value": draw(time * writes, heads, d_v),
        "state": draw(heads, d_k, d_v),
        "beta": 2 * draw(time * writes, heads).sigmoid(),
        "log_decay": functional.logsigmoid(draw(time, heads)) if decays else None,
    }
    return {name: None if values is None else values.requires_grad_() for name, values in drawn.items()}


def step_by_step(arguments: dict[str, Any], delta: bool) -> tuple[Tensor, Tensor]:
    """Compute the equations of the scan one step at a time."""
    query, key, value, state, beta, log_decay = (arguments[name] for name in arguments)
    writes = key.shape[1] // query.shape[1]
    outputs = []
    for t in range(query.shape[1]):
        if log_decay is not None:
            state = state * log_decay[:, t].exp()[:, :, None, None]
        for i in range(t * writes, (t + 1) * writes):
            new = value[:, i] - torch.einsum("bhkv,bhk->bhv", state, key[:, i]) if delta else value[:, i]
            state = state + torch.einsum("bh,bhk,bhv->bhkv", beta[:, i], key[:, i], new)
        outputs.append(torch.einsum("bhkv,bhk->bhv", state, query[:, t]))
    return torch.stack(outputs, 1), state


def with_gradients(outputs: Tensor, state: Tensor, arguments: dict[str, Any]) -> list[Tensor]:
    """Return the results of a scan, and the gradients of a loss that weights every number differently."""
    loss = (outputs * torch.arange(outputs.numel()).view(outputs.shape).cos()).sum() + state.sin().sum()
    leaves = [values for values in arguments.values() if values is not None]
    return [outputs, state, *torch.autograd.grad(loss, leaves)]


@pytest.mark.parametrize("time", [1, CHUNK, 2 * CHUNK + 3])
@pytest.mark.parametrize(("delta", "decays", "writes"), list(product([False, True], [False, True], [1, 2])))
def test_scan_follows_its_equations(time: int, delta: bool, decays: bool, writes: int) -> None:
    arguments = operands(time, writes, decays)
    ours = with_gradients(*matrix_scan(**arguments, delta=delta), arguments)
    expected = with_gradients(*step_by_step(arguments, delta), arguments)
    torch.testing.assert_close(ours, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("chunk", [1, 7, 100])
def test_size_of_chunks_does_not_change_the_scan(chunk: int) -> None:
    arguments = operands(50, writes=2)
    ours = with_gradients(*matrix_scan(**arguments, chunk=chunk), arguments)
    expected = with_gradients(*matrix_scan(**arguments), arguments)
    torch.testing.assert_close(ours, expected, rtol=1e-9, atol=1e-9)


def test_scan_has_second_derivatives() -> None:
    arguments = operands(3)

    def run(*values: Tensor) -> Tensor:
        return matrix_scan(**dict(zip(arguments, values, strict=True)), delta=True, chunk=2)[0]

    assert torch.autograd.gradgradcheck(run, tuple(arguments.values()), fast_mode=True)


def test_scan_computes_half_precision_in_single_precision() -> None:
    half = {name: values.detach().bfloat16() for name, values in operands(40).items() if values is not None}
    outputs, state = matrix_scan(**half)
    assert outputs.dtype == state.dtype == torch.float32
    expected, _ = matrix_scan(**{name: values.double() for name, values in half.items()})
    torch.testing.assert_close(outputs.double(), expected, rtol=1e-4, atol=1e-4)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(matrix_scan(**half)[0], outputs)


def test_scan_stays_exact_when_the_decay_is_extreme() -> None:
    arguments = operands(2 * CHUNK)
    arguments["log_decay"] = torch.full((2, 2 * CHUNK, 3), -200.0, dtype=torch.double)
    outputs, state = matrix_scan(**arguments)
    torch.testing.assert_close((outputs, state), step_by_step(arguments, delta=True))


@pytest.mark.parametrize("writes", [1, 3])
def test_step_eigenvalues_are_those_of_the_jacobian(writes: int) -> None:
    arguments = operands(1, writes)

    def first_column(column: Tensor) -> Tensor:
        state = torch.cat([column, arguments["state"][..., 1:]], 3)
        return matrix_scan(**arguments | {"state": state})[1][..., 0]

    jacobian = torch.autograd.functional.jacobian(first_column, arguments["state"][..., :1])  # type: ignore[no-untyped-call]
    eigenvalues = step_eigenvalues(arguments["key"], arguments["beta"], arguments["log_decay"], 1)
    for row, head in product(range(SIZES["batch"]), range(SIZES["heads"])):
        expected = torch.linalg.eigvals(jacobian[row, head, :, row, head, :, 0])
        distances = (eigenvalues[row, 0, head][:, None] - expected).abs()
        assert distances.amin(0).max() < 1e-9
        assert distances.amin(1).max() < 1e-9
