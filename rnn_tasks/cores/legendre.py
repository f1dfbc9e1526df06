"""The memory of a sliding window in Legendre polynomials."""

import torch
from torch import Tensor


def legendre_delay(order: int, theta: float) -> tuple[Tensor, Tensor]:
    """Return the linear system that keeps the last theta steps of a signal as Legendre coefficients.

    The system ``m_t = A m_{t-1} + B u_t`` is ``theta m' = A_c m + B_c u`` under zero-order hold: u is constant during a
    step. The value d steps ago is close to the sum over i of ``P_i(2 d / theta - 1) m_i``, where P_i is the Legendre
    polynomial of degree i and ``0 <= d <= theta``, if the signal varies slowly enough for polynomials of degree
    ``order - 1``.

    Source: A. R. Voelker and C. Eliasmith, "Improving spiking dynamical networks: accurate delays, higher-order
    synapses, and time cells", 2018, https://doi.org/10.1162/neco_a_01046

    Args:
        order: Number of coefficients, ``>= 1``.
        theta: Length of the window in steps, ``> 0``.

    Returns:
        A, ``(order, order)``, and B, ``(order, 1)``, in double precision.

    Example:
        >>> transition, drive = legendre_delay(order=1, theta=2.0)
        >>> round(transition.item(), 4), round(drive.item(), 4)  # exp(-1 / 2) and 1 - exp(-1 / 2)
        (0.6065, 0.3935)
    """
    degrees = torch.arange(order, dtype=torch.float64)
    row, column = degrees[:, None], degrees[None]
    alternating = (-1.0) ** (row - column + 1)
    continuous = torch.zeros(order + 1, order + 1, dtype=torch.float64)
    continuous[:order, :order] = (2 * row + 1) * torch.where(row < column, -1.0, alternating)
    continuous[:order, order:] = (2 * row + 1) * (-1.0) ** row
    discrete = torch.matrix_exp(continuous / theta)
    return discrete[:order, :order], discrete[:order, order:]
