from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from rnn_tasks.cores import GRU, LRU, S6, Block, Blocks
from rnn_tasks.errors import UsageError


def random_inputs(features: int) -> Tensor:
    return torch.randn(2, 9, features, generator=torch.Generator().manual_seed(1)).double()


def block_step_by_step(block: Block, inputs: Tensor) -> Tensor:
    """Compute a block one step and one feature at a time; the layer reads all steps at once."""
    assert block.conv.bias is not None
    kernel = block.conv.weight[:, 0]
    centred = inputs - inputs.mean(2, keepdim=True)
    normal = centred / torch.sqrt(centred.square().mean(2, keepdim=True) + block.norm.eps)
    normal = normal * block.norm.weight + block.norm.bias
    mixed = []
    for t in range(inputs.shape[1]):
        total = block.conv.bias + torch.zeros_like(normal[:, 0])
        for lag in range(kernel.shape[1]):
            if t >= lag:
                total = total + kernel[:, -1 - lag] * normal[:, t - lag]
        mixed.append(total * torch.sigmoid(total))
    hidden, _ = block.core(torch.stack(mixed, 1))
    bent = hidden * (1 + torch.erf(hidden / 2**0.5)) / 2
    value, gate = (bent @ block.gate.weight.T + block.gate.bias).split(inputs.shape[2], 2)
    expected: Tensor = inputs + value * torch.sigmoid(gate)
    return expected


@pytest.mark.parametrize("kernel_size", [1, 4])
def test_block_follows_its_equation(kernel_size: int) -> None:
    torch.manual_seed(0)
    block = Block(4, GRU, kernel_size=kernel_size).double()
    inputs = random_inputs(4)
    with torch.no_grad():
        block.norm.weight.normal_()
        block.norm.bias.normal_()
    torch.testing.assert_close(block(inputs)[0], block_step_by_step(block, inputs), rtol=1e-8, atol=1e-8)


def test_blocks_are_embedding_blocks_and_norm() -> None:
    torch.manual_seed(0)
    core = Blocks(3, 4, partial(S6, num_states=2), depth=3).double()
    inputs = random_inputs(3)
    features = functional.linear(inputs, core.embedding.weight, core.embedding.bias)
    for block in core.blocks:
        features = block(features)[0]
    expected = functional.layer_norm(features, (4,), core.norm.weight, core.norm.bias)
    outputs, state = core(inputs)
    torch.testing.assert_close(outputs, expected)
    assert len(state) == 3
    assert [values.shape for values in state[0]] == [(2, 12), (2, 8)]


def test_blocks_drop_updates_in_training_only() -> None:
    core = Blocks(3, 64, GRU, depth=1, dropout=0.5).double()
    inputs = random_inputs(3)
    features = core.embedding(inputs)
    update = core.eval().blocks[0](features)[0] - features
    dropped = core.train().blocks[0](features)[0] - features
    is_zero = dropped == 0
    assert 0.4 < is_zero.double().mean() < 0.6
    torch.testing.assert_close(dropped[~is_zero], 2 * update[~is_zero])


def test_eigenvalues_of_blocks_are_those_of_their_layers() -> None:
    torch.manual_seed(0)
    core = Blocks(3, 4, partial(S6, num_states=2)).double()
    inputs = random_inputs(3)
    values = core.eigenvalues(inputs)
    seen: list[Tensor] = []
    hooks = [block.core.register_forward_pre_hook(lambda _, args: seen.append(args[0])) for block in core.blocks]
    core(inputs)
    for hook in hooks:
        hook.remove()
    assert list(values) == ["block_0/diagonal", "block_1/diagonal"]
    for (_, numbers), block, block_inputs in zip(values.items(), core.blocks, seen, strict=True):
        torch.testing.assert_close(numbers, block.core.eigenvalues(block_inputs)["diagonal"])


def test_recurrent_weights_of_blocks_are_named_by_block() -> None:
    core = Blocks(3, 4, GRU)
    weights = core.recurrent_weights()
    assert list(weights)[::3] == ["block_0/weight_hh_l0/reset", "block_1/weight_hh_l0/reset"]
    with torch.no_grad():
        weights["block_1/weight_hh_l0/new"].fill_(7)
    inner = core.blocks[1].core
    assert isinstance(inner, nn.GRU)
    assert (inner.weight_hh_l0[8:] == 7).all()


def test_roles_in_blocks_are_those_in_their_layers() -> None:
    core = Blocks(3, 4, LRU)
    roles = {name: core.parameter_role(name) for name, _ in core.named_parameters()}
    assert roles["embedding.weight"] == roles["embedding.bias"] == "input"
    assert roles["blocks.1.core.nu_log"] == "recurrent"
    assert roles["blocks.1.core.weight_in"] == "input"
    assert roles["blocks.1.core.weight_out"] == "rest"
    outside = {role for name, role in roles.items() if ".core." not in name and "embedding" not in name}
    assert outside == {"rest"}


def test_blocks_reject_values_outside_their_bounds() -> None:
    for options in ({"hidden_size": 0}, {"depth": 0}, {"kernel_size": 0}):
        with pytest.raises(UsageError, match=f"{next(iter(options))} must be at least 1, got 0"):
            Blocks(3, **{"hidden_size": 4, "core": GRU, **options})  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="dropout must be at least 0 and below 1"):
        Blocks(3, 4, GRU, dropout=1.0)
    with pytest.raises(UsageError, match="in the layer of a block, num_states must be at least 1, got 0"):
        Blocks(3, 4, partial(S6, num_states=0))
