import math
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from rnn_tasks.cores import MLSTM, Core, DeltaNet
from rnn_tasks.errors import UsageError

REFERENCES = Path(__file__).parent / "data" / "matrix_layers.npz"
LAYERS: dict[str, Core] = {
    "deltanet": DeltaNet(3, 6, heads=2),
    "gated": DeltaNet(3, 6, heads=2, max_beta=2, decay="learned"),
    "product": DeltaNet(3, 6, heads=2, max_beta=2, decay="learned", products=2, window=1),
    "linear": DeltaNet(3, 6, heads=2, delta=False),
    "retnet": DeltaNet(3, 6, heads=2, delta=False, decay="fixed"),
    "mlstm": MLSTM(3, 6, heads=2),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layer_equals_the_code_of_its_authors(name: str) -> None:
    """Compare outputs and all gradients with stored results of other people's code.

    ``matrix_layers.npz`` holds random parameters, inputs ``(1, 36, 3)`` and weights of a loss for each layer, and the
    outputs and gradients. They were computed in double precision by functions of fla-core 0.6.0
    (``naive_recurrent_gated_delta_product``, ``naive_recurrent_simple_gla``) and xlstm 2.0.6
    (``parallel_stabilized_simple`` with ``eps=0``); projections, gates and norms are in plain torch.
    """
    with np.load(REFERENCES) as file:
        stored = {key[len(name) + 1 :]: torch.from_numpy(file[key]) for key in file if key.startswith(f"{name}/")}
    layer = LAYERS[name].double()
    layer.load_state_dict({key[10:]: values for key, values in stored.items() if key.startswith("parameter/")})
    inputs = stored["inputs"].requires_grad_()
    outputs, _ = layer(inputs)
    gradients = torch.autograd.grad((outputs * stored["loss_weights"]).sum(), [inputs, *layer.parameters()])
    expected = [stored["inputs_gradient"], *(stored[f"gradient/{key}"] for key, _ in layer.named_parameters())]
    torch.testing.assert_close(outputs, stored["outputs"], rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(list(gradients), expected, rtol=1e-8, atol=1e-8)


def silu_inverse(values: Tensor) -> Tensor:
    """Return x such that ``silu(x)`` is the value, for values of at least -0.27, by Newton's method."""
    x = torch.where(values < 0, -0.5, 1.0).to(values.dtype)
    for _ in range(50):
        sigmoid = torch.sigmoid(x)
        x = x - (x * sigmoid - values) / (sigmoid + x * sigmoid * (1 - sigmoid))
    torch.testing.assert_close(functional.silu(x), values, rtol=0, atol=1e-12)
    return x


def set_weights(layer: DeltaNet, query: Tensor, key: Tensor, value: Tensor, writes: Tensor) -> None:
    """Set the weights such that each symbol has these vectors; ``writes`` says whether beta is ``max_beta`` or 0."""
    assert layer.beta is not None
    with torch.no_grad():
        layer.query.weight.copy_(silu_inverse(query).T)
        layer.key.weight.copy_(silu_inverse(key).T)
        layer.value.weight.copy_(silu_inverse(value).T)
        layer.beta.weight.copy_((200 * writes - 100).T)
        layer.output.weight.copy_(torch.eye(layer.hidden_size))


def test_deltanet_computes_parity_when_beta_is_2() -> None:
    """A write with beta 2 maps what S returns for the key from s to ``2 v - s``: from 0 to 2 v, and back to 0."""
    layer = DeltaNet(2, 1, window=1, max_beta=2).double()
    vector = torch.full((2, 1), 1e4, dtype=torch.double)
    set_weights(layer, query=vector, key=vector, value=torch.ones_like(vector), writes=torch.tensor([[0], [1]]))
    bits = torch.randint(2, (8, 1000), generator=torch.Generator().manual_seed(0))
    outputs, _ = layer(functional.one_hot(bits, 2).double())
    parity = bits.cumsum(1) % 2
    torch.testing.assert_close(outputs[..., 0], parity.double(), rtol=0, atol=1e-3)


def test_state_alternates_only_when_beta_exceeds_1() -> None:
    """On a constant input, S moves in one direction if no eigenvalue is negative, so it cannot tell even from odd."""
    torch.manual_seed(0)
    for max_beta in (1, 2):
        layer = DeltaNet(3, 8, heads=2, window=1, max_beta=max_beta).double()
        with torch.no_grad():
            for weight in layer.input_weights():
                weight.mul_(5)
            layer.beta.weight.fill_(2)  # type: ignore[union-attr]
        inputs, state, states = torch.ones(1, 1, 3, dtype=torch.double), None, []
        for _ in range(6):
            _, state = layer(inputs, state)
            states.append(state[0])
        moves = torch.stack(states).diff(dim=0)
        turns = moves[1:] * moves[:-1] < -1e-12
        assert turns.any() == (max_beta == 2)


@pytest.mark.parametrize("max_beta", [0.5, 1.0, 2.0])
def test_eigenvalues_lie_between_1_minus_beta_and_1(max_beta: float) -> None:
    torch.manual_seed(0)
    layer = DeltaNet(3, 8, heads=2, max_beta=max_beta)
    eigenvalues = layer.eigenvalues(20 * torch.randn(4, 30, 3))["transition"]
    assert eigenvalues.shape == (4, 30, 8)
    assert not eigenvalues.imag.any()
    assert eigenvalues.real.min() >= 1 - max_beta - 1e-6
    assert eigenvalues.real.min() < 1.1 - max_beta
    assert eigenvalues.real.max() == 1
    with torch.autocast("cpu", torch.bfloat16):
        mixed = layer.eigenvalues(20 * torch.randn(4, 30, 3))["transition"]
    assert mixed.real.min() >= 1 - max_beta - 1e-6


SWAPS = {(1, 0, 2): (1.0, -1.0, 0.0), (2, 1, 0): (1.0, 0.0, -1.0), (0, 2, 1): (0.0, 1.0, -1.0)}


def matrix_of(permutation: tuple[int, ...]) -> Tensor:
    return torch.eye(3, dtype=torch.double)[list(permutation)]


def layer_that_tracks_s3() -> tuple[DeltaNet, Tensor, Tensor]:
    """Return a layer with two products per step, and the matrix and the output of each of the six permutations.

    A write with beta 2 and ``v = -c k`` reflects ``S + c I``, and a reflection can swap two coordinates. Every
    permutation P of three numbers is a product of at most two swaps. The layer starts at the identity, and reads
    ``S^T q = c (P^T - I) q``.
    """
    c, layer = 0.02, DeltaNet(6, 3, window=1, max_beta=2, products=2).double()
    keys, writes, matrices = torch.zeros(6, 2, 3).double(), torch.zeros(6, 2), []
    swaps = [(matrix_of(swap), torch.tensor(normal).double()) for swap, normal in SWAPS.items()]
    for symbol, permutation in enumerate(permutations(range(3))):
        matrix = matrix_of(permutation)
        matrices.append(matrix)
        keys[symbol, :] = 0.27 * swaps[0][1]
        for first, normal in swaps:
            if torch.equal(first, matrix):
                keys[symbol, 0], writes[symbol] = 0.27 * normal, torch.tensor([1, 0])
            for second, other in swaps:
                if torch.equal(second @ first, matrix) and first is not second:
                    keys[symbol, 0], keys[symbol, 1], writes[symbol] = 0.27 * normal, 0.27 * other, torch.ones(2)
    query = torch.tensor([1.0, 2.0, 4.0]).double()
    values = -c * functional.normalize(keys, dim=2)
    set_weights(layer, query.expand(6, 3), keys.flatten(1), values.flatten(1), writes)
    read = c * torch.stack([(matrix.T - torch.eye(3)) @ functional.normalize(query, dim=0) for matrix in matrices])
    read = read / math.sqrt(3)
    return layer, torch.stack(matrices), read / (read.square().mean(1, keepdim=True) + 1e-6).sqrt()


def test_deltanet_tracks_s3_by_two_products() -> None:
    layer, matrices, outputs_of = layer_that_tracks_s3()
    assert torch.cdist(outputs_of, outputs_of).add(torch.eye(6)).min() > 0.5
    symbols = torch.randint(6, (4, 200), generator=torch.Generator().manual_seed(0))
    outputs, _ = layer(functional.one_hot(symbols, 6).double())
    product = torch.eye(3, dtype=torch.double).expand(4, 3, 3)
    for t in range(200):
        product = matrices[symbols[:, t]] @ product
        answer = (product[:, None] == matrices).all(3).all(2).int().argmax(1)
        torch.testing.assert_close(outputs[:, t], outputs_of[answer], rtol=0, atol=0.05)


def test_only_products_have_complex_eigenvalues() -> None:
    """A rotation, such as a cycle of three symbols, has complex eigenvalues; one write is symmetric, so it has none."""
    layer, matrices, _ = layer_that_tracks_s3()
    eigenvalues = layer.eigenvalues(torch.eye(6, dtype=torch.double)[None])["transition"][0]
    expected = torch.linalg.eigvals(matrices)
    order = torch.argsort(eigenvalues.real + 0.1 * eigenvalues.imag, 1)
    expected_order = torch.argsort(expected.real + 0.1 * expected.imag, 1)
    torch.testing.assert_close(eigenvalues.gather(1, order), expected.gather(1, expected_order), rtol=0, atol=1e-4)
    assert eigenvalues.imag.abs().max() > 0.8
    torch.manual_seed(0)
    single = DeltaNet(3, 8, max_beta=2).eigenvalues(20 * torch.randn(2, 9, 3))["transition"]
    assert not single.imag.any()


def test_fixed_decay_halves_the_forgetting_from_head_to_head() -> None:
    layer = DeltaNet(3, 8, heads=4, delta=False, decay="fixed")
    eigenvalues = layer.eigenvalues(torch.zeros(1, 1, 3))["transition"].view(4, 2)
    expected = 1 - 2.0 ** -torch.arange(5, 9, dtype=torch.double)
    torch.testing.assert_close(eigenvalues.real, expected[:, None].expand(4, 2), rtol=1e-6, atol=1e-6)


def test_learned_decay_starts_between_0_2_and_1() -> None:
    torch.manual_seed(0)
    layer = DeltaNet(3, 500, heads=500, delta=False, decay="learned")
    decays = layer.eigenvalues(torch.zeros(1, 1, 3))["transition"].real
    assert math.exp(-1.6) < decays.min() < 0.4
    assert 0.999 < decays.max() < 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heads": 4}, "hidden_size must be a multiple of heads (4), got 6"),
        ({"heads": 0}, "heads must be at least 1, got 0"),
        ({"window": 0}, "window must be at least 1, got 0"),
        ({"products": 0}, "products must be at least 1, got 0"),
        ({"max_beta": 0}, "max_beta must be above 0 and at most 2, got 0"),
        ({"max_beta": 2.1}, "max_beta must be above 0 and at most 2, got 2.1"),
        ({"max_beta": math.nan}, "max_beta must be above 0 and at most 2, got nan"),
        ({"decay": "exponential"}, "decay must be null, learned or fixed, got exponential"),
    ],
)
def test_deltanet_rejects_values_outside_their_bounds(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as error:
        DeltaNet(3, 6, **options)
    assert str(error.value) == message


def test_roles_of_parameters_follow_the_transition() -> None:
    layer = DeltaNet(3, 6, decay="learned")
    roles = {name: layer.parameter_role(name) for name, _ in layer.named_parameters()}
    assert [name for name, role in roles.items() if role == "recurrent"] == ["log_rate", "rate_bias"]
    assert [name for name, role in roles.items() if role == "rest"] == ["norm.weight", "output.weight"]
