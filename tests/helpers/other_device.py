"""A stand-in for a device that lacks some operations and double precision, such as Apple's GPU."""

from collections.abc import Callable
from typing import Any, NoReturn

import pytest
import torch
from torch import Tensor

MISSING = ("cholesky", "eigvals", "eigvalsh", "qr", "solve", "solve_triangular", "svdvals")
"""Functions of torch.linalg that the device lacks."""


class OtherDeviceTensor(Tensor):
    """A tensor that counts as one on another device until :meth:`cpu` is called."""

    def cpu(self, *args: Any, **kwargs: Any) -> Tensor:
        return self.as_subclass(Tensor)

    def double(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64.")


def on_other_device(tensor: Tensor) -> Tensor:
    """Return a tensor with the same values on the other device, differentiable."""
    return tensor.as_subclass(OtherDeviceTensor)


def remove_operations(monkeypatch: pytest.MonkeyPatch, also_on_cpu: bool = False) -> None:
    """Make the functions of :data:`MISSING` raise torch's error on the other device.

    Args:
        monkeypatch: Restores the functions after the test.
        also_on_cpu: Whether the functions raise on the CPU too.
    """

    def without(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*tensors: Tensor, **options: Any) -> Any:
            if also_on_cpu or any(isinstance(tensor, OtherDeviceTensor) for tensor in tensors):
                raise NotImplementedError(
                    f"The operator 'aten::linalg_{name}' is not implemented for the MPS device.\n"
                )
            return function(*tensors, **options)

        return call

    for name in MISSING:
        monkeypatch.setattr(torch.linalg, name, without(name, getattr(torch.linalg, name)))
