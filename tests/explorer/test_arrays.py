import base64
import struct

import pytest
import torch

from rnn_tasks.explorer.arrays import decoded, exact, integers, scaled


@pytest.mark.parametrize(
    ("low", "high", "dtype"),
    [
        (0, 255, "uint8"),
        (0, 256, "uint16"),
        (0, 65535, "uint16"),
        (-100, 255, "int16"),
        (-100, 32767, "int16"),
        (-100, 32768, "int32"),
        (0, 65536, "int32"),
    ],
)
def test_integers_use_the_smallest_type(low: int, high: int, dtype: str) -> None:
    values = torch.tensor([[low, high, 0], [1, 2, high]])
    array = integers(values)
    assert (array["dtype"], array["shape"]) == (dtype, [2, 3])
    assert decoded(array).tolist() == values.tolist()


def test_integers_store_masks_as_zeros_and_ones() -> None:
    array = integers(torch.tensor([True, False]))
    assert (array["dtype"], decoded(array).tolist()) == ("uint8", [1, 0])


def test_exact_stores_little_endian_single_precision() -> None:
    array = exact(torch.tensor([1.5, -2.0]))
    assert array["dtype"] == "float32"
    assert struct.unpack("<2f", base64.b64decode(array["data"])) == (1.5, -2.0)


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (2, 3, 4)])
def test_exact_keeps_numbers_and_shape(shape: tuple[int, ...]) -> None:
    values = torch.randn(shape, requires_grad=True)
    array = exact(values)
    assert array["shape"] == list(shape)
    assert torch.equal(torch.from_numpy(decoded(array)).float().view(shape), values.detach())


def test_arrays_of_transposed_views_are_row_major() -> None:
    values = torch.arange(6.0).view(2, 3).T
    for store in (exact, scaled):
        assert decoded(store(values)).round(3).tolist() == values.tolist()
    assert decoded(integers(values.long())).tolist() == values.tolist()


@pytest.mark.parametrize("size", [1e-30, 1e-3, 1.0, 1e30])
def test_scaled_errs_by_at_most_half_the_scale(size: float) -> None:
    values = torch.randn(50, 20, dtype=torch.double) * size
    array = scaled(values)
    assert (array["dtype"], array["scale"]) == ("scaled16", float(values.abs().max()) / 32767)
    assert len(base64.b64decode(array["data"])) == 2 * 1000
    assert float((torch.from_numpy(decoded(array)) - values).abs().max()) <= array["scale"] * (0.5 + 1e-9)


def test_scaled_stores_zeros() -> None:
    assert decoded(scaled(torch.zeros(3))).tolist() == [0, 0, 0]
    assert decoded(scaled(torch.zeros(0, 2))).shape == (0, 2)
