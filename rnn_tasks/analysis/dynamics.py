"""A network as a dynamical system: Jacobians, Lyapunov exponents, saturation and eigenvalues."""

from collections.abc import Iterator

import torch
from torch import Tensor

from rnn_tasks.analysis.flow import (
    differentiating,
    encoded,
    evaluating,
    flatten_state,
    unflatten_state,
)
from rnn_tasks.cores import Core, State
from rnn_tasks.errors import UsageError
from rnn_tasks.networks import Network
from rnn_tasks.spec import Batch, TaskSpec

MAX_STEPS = 1000
"""Steps of the sequence along which eigenvalues that depend on the inputs are computed."""

MAX_EIGENVALUES = 2048
"""About how many eigenvalues that depend on the inputs are returned."""


def step_jacobian(network: Network, encoded_input: Tensor, state: Tensor) -> Tensor:
    """Return the Jacobian of one step, ``ds_t/ds_{t-1}``, by automatic differentiation.

    For ``h_t = tanh(U x_t + b + W h_{t-1})`` the Jacobian is ``diag(1 - h_t^2) W`` (Pascanu, Mikolov and Bengio 2013).

    Args:
        network: The network.
        encoded_input: The layer's input at this step, ``(batch, features)``, one step of
            :func:`rnn_tasks.analysis.flow.encoded`.
        state: The state before this step, ``(batch, state_size)``, one step of
            :func:`rnn_tasks.analysis.flow.state_trajectory`.

    Returns:
        ``(batch, state_size, state_size)``: row i is the gradient of the i-th number of the new state. Without batch
        dimensions, for ``(features,)`` and ``(state_size,)``, the Jacobian is ``(state_size, state_size)``.

    Raises:
        UsageError: The layer's state cannot be flattened.

    Example:
        >>> from functools import partial
        >>> from rnn_tasks.analysis import state_trajectory
        >>> from rnn_tasks.cores import GRU
        >>> from rnn_tasks.networks import TaggerNetwork
        >>> from rnn_tasks.tasks import Echo
        >>> task = Echo(delay=2, sequence_length=7, batch_size=3)
        >>> network = TaggerNetwork(partial(GRU, hidden_size=8), task.spec)
        >>> inputs, states = encoded(network, task.train_batch(0)), state_trajectory(network, task.train_batch(0))
        >>> step_jacobian(network, inputs[:, 5], states[:, 4]).shape
        torch.Size([3, 8, 8])
    """
    if state.ndim == 1:
        return step_jacobian(network, encoded_input[None], state[None])[0]
    with evaluating(network):
        return core_jacobian(network.core, encoded_input, state, example_state(network.core, encoded_input))[0]


def jacobian_products(
    network: Network,
    batch: Batch,
    steps: int,
    sequence: int = 0,
    start: int = 0,
    state: State = None,
    every: int = 1,
) -> Tensor:
    """Return the singular values of ``ds_{t+k}/ds_t``, the product of the Jacobians of k = 1, 2, ... steps.

    The largest singular value is the largest factor by which k steps stretch a small difference between states, and an
    upper bound of the factor by which they stretch a gradient (Pascanu, Mikolov and Bengio 2013). Singular values below
    1e-16 of the largest are rounding errors; for many steps use :func:`lyapunov_spectrum`.

    Args:
        network: The network.
        batch: The batch with the sequence.
        steps: The largest k, ``1..time - start``.
        sequence: Index of the sequence in the batch.
        start: t, the number of steps that the network reads first, ``0..time - 1``.
        state: The layer's state before the first step, for the whole batch; None for zeros.
        every: Return only every n-th k, ``1..steps``, since singular values are slower to compute than the product.

    Returns:
        ``(steps // every, state_size)``, in decreasing order for each k. Double precision, on the CPU.

    Raises:
        UsageError: A value outside its bounds, or a state that cannot be flattened.

    Example:
        >>> from functools import partial
        >>> from rnn_tasks.cores import GRU
        >>> from rnn_tasks.networks import TaggerNetwork
        >>> from rnn_tasks.tasks import Echo
        >>> task = Echo(delay=2, sequence_length=7, batch_size=3)
        >>> network = TaggerNetwork(partial(GRU, hidden_size=8), task.spec)
        >>> jacobian_products(network, task.train_batch(0), steps=5).shape
        torch.Size([5, 8])
    """
    sequences, time = batch.targets.shape[:2]
    if not 0 <= sequence < sequences:
        raise UsageError(f"sequence must be in 0..{sequences - 1}, got {sequence}")
    if start < 0 or not 1 <= steps <= time - start:
        raise UsageError(f"start + steps must be within the {time} steps of the batch, got {start} + {steps}")
    if not 1 <= every <= steps:
        raise UsageError(f"every must be in 1..steps ({steps}), got {every}")
    with evaluating(network):
        inputs = encoded(network, batch)
        first = None if state is None else flatten_state(state, sequences)[sequence : sequence + 1]
        values, product = [], None
        jacobians = _jacobians(network.core, inputs[sequence : sequence + 1, : start + steps], first)
        for index, (jacobian,) in enumerate(jacobians):
            if index >= start:
                product = jacobian if product is None else jacobian @ product
                if (index - start + 1) % every == 0:
                    values.append(torch.linalg.svdvals(product))
    return torch.stack(values)


def lyapunov_spectrum(network: Network, batch: Batch, discard: int = 0, state: State = None) -> Tensor:
    """Return the Lyapunov exponents: the rates at which small differences between states grow or shrink over time.

    If an exponent is above 0, nearby states diverge and gradients explode. If all are below 0, differences between
    states shrink to 1/e within about ``-1 / exponent`` steps, with the largest exponent. The exponents are computed by
    repeated QR decomposition along the trajectory (Benettin et al. 1980; for recurrent networks Engelken, Wolf and
    Abbott 2023). They are limits for infinitely long sequences; for a short sequence, the values are the mean rates
    over its steps.
    In single precision the smallest exponents have about three correct digits; ``network.double()`` has more.

    Args:
        network: The network.
        batch: The sequences that the network reads; longer sequences are more accurate.
        discard: Steps at the beginning that do not count, until state and directions converge, ``0..time - 1``.
        state: The layer's state before the first step; None for zeros.

    Returns:
        ``(state_size,)``, in nats per step, in decreasing order, each the mean over the sequences; -inf for directions
        that a step maps to zero. Double precision, on the CPU. The sum is the rate at which volumes grow.

    Raises:
        UsageError: A value outside its bounds, or a state that cannot be flattened.

    Example:
        >>> from functools import partial
        >>> from rnn_tasks.cores import Elman
        >>> from rnn_tasks.networks import TaggerNetwork
        >>> from rnn_tasks.tasks import Echo
        >>> task = Echo(delay=2, sequence_length=7, batch_size=3)
        >>> core = partial(Elman, hidden_size=8, activation="identity", orthogonal_map="matrix_exp")
        >>> exponents = lyapunov_spectrum(TaggerNetwork(core, task.spec), task.train_batch(0))
        >>> exponents.shape, bool(exponents.abs().max() < 1e-5)  # nothing grows, nothing is forgotten
        (torch.Size([8]), True)
    """
    time = batch.inputs.shape[1]
    if not 0 <= discard < time:
        raise UsageError(f"discard must be in 0..{time - 1}, got {discard}")
    with evaluating(network):
        inputs = encoded(network, batch)
        first = None if state is None else flatten_state(state, len(inputs))
        directions, growth = None, torch.zeros(())
        for index, jacobian in enumerate(_jacobians(network.core, inputs, first)):
            directions, rates = qr_growth(jacobian if directions is None else jacobian @ directions)
            if index >= discard:
                growth = growth + rates
    return (growth / (time - discard)).mean(0).sort(descending=True).values


def qr_growth(stretched: Tensor) -> tuple[Tensor, Tensor]:
    """Orthonormalize directions after a step, and return their logarithmic growth.

    Args:
        stretched: Directions after a step, the columns of ``(..., n, n)``.

    Returns:
        Q ``(..., n, n)`` and ``log |diag R|`` ``(..., n)`` of the QR decomposition.

    Example:
        >>> qr_growth(torch.tensor([[2.0, 5.0], [0.0, 1.0]]))[1]
        tensor([0.6931, 0.0000])
    """
    q, r = torch.linalg.qr(stretched)
    return q, r.diagonal(dim1=-2, dim2=-1).abs().log()


def saturation(states: Tensor, threshold: float = 0.95) -> Tensor:
    """Return how often each unit is near -1 or 1, where tanh is flat and its gradient vanishes.

    Args:
        states: Hidden states, ``(..., units)``, for instance :func:`rnn_tasks.analysis.flow.hidden_states`.
        threshold: A unit is saturated if its absolute value is above this threshold.

    Returns:
        ``(units,)``, the share of steps, over all sequences; the mean over the units is the share of the whole layer.

    Example:
        >>> saturation(torch.tensor([[0.99, 0.1], [-1.0, 0.2], [0.3, 0.96], [0.0, 0.0]]))
        tensor([0.5000, 0.2500])
    """
    return (states.flatten(0, -2).abs() > threshold).to(torch.promote_types(states.dtype, torch.float32)).mean(0)


def eigenvalues(network: Network, batch: Batch | None = None) -> dict[str, Tensor]:
    """Return the eigenvalues of what carries the layer's state from one step to the next, by name.

    See :meth:`rnn_tasks.cores.Core.eigenvalues`: these are the eigenvalues of each recurrent matrix, or the diagonal of
    a layer that multiplies its state by a diagonal. If the inputs of a layer decide its transition, the eigenvalues
    are those of some steps along one sequence (:func:`spaced_steps`). In one step, a linear network
    scales its state by their absolute values and rotates it by their angles.

    Args:
        network: The network.
        batch: The sequences, of which the first is read, up to step 1,000. None leaves out the eigenvalues that depend
            on the inputs.

    Returns:
        ``(n,)`` complex for each name, in decreasing order of absolute value. Double precision, on the CPU.

    Example:
        >>> from functools import partial
        >>> from rnn_tasks.cores import Elman
        >>> from rnn_tasks.networks import TaggerNetwork
        >>> from rnn_tasks.tasks import Echo
        >>> network = TaggerNetwork(partial(Elman, hidden_size=8), Echo().spec)
        >>> {name: values.shape for name, values in eigenvalues(network).items()}
        {'weight_hh_l0': torch.Size([8])}
    """
    result = {}
    for name, values in _eigenvalues(network, batch).items():
        if values.ndim == 1 or batch is not None:
            numbers = values if values.ndim == 1 else values[0, spaced_steps(*values.shape[1:])].flatten()
            numbers = numbers.detach().cpu().to(torch.complex128)
            result[name] = numbers[numbers.abs().argsort(descending=True, stable=True)]
    return result


def eigenvalues_follow_inputs(network: Network) -> dict[str, bool]:
    """Return whether the inputs decide the eigenvalues, for each name of :func:`eigenvalues`."""
    return {name: values.ndim > 1 for name, values in _eigenvalues(network, None).items()}


def spaced_steps(time: int, size: int) -> Tensor:
    """Return the indices of the steps whose eigenvalues are shown, at equal distances, with the first and the last.

    Args:
        time: The number of steps of the sequence.
        size: The number of eigenvalues of a step; the more, the fewer steps: as many as have :data:`MAX_EIGENVALUES`
            eigenvalues together, at least 4.

    Example:
        >>> spaced_steps(9, 512), len(spaced_steps(1000, 16))
        (tensor([0, 3, 5, 8]), 128)
    """
    return torch.linspace(0, time - 1, min(time, max(4, MAX_EIGENVALUES // size))).round().long()


@torch.no_grad()
def _eigenvalues(network: Network, batch: Batch | None) -> dict[str, Tensor]:
    """Return the eigenvalues of the layer along the first sequence; None for a sequence of one step."""
    with evaluating(network):
        sequence = _one_step(network.spec) if batch is None else batch.rows(0, 1)
        return network.core.eigenvalues(encoded(network, sequence)[:, :MAX_STEPS])


def _one_step(spec: TaskSpec) -> Batch:
    """Return a sequence of one step: the first symbol, or zeros, with the first condition."""
    inputs = torch.zeros(1, 1, spec.input_size) if spec.real_inputs else torch.zeros(1, 1, dtype=torch.long)
    condition = torch.zeros(1, dtype=torch.long) if spec.num_conditions else None
    return Batch(inputs, torch.zeros(1, 1), condition=condition)


@torch.no_grad()
def example_state(core: Core, inputs: Tensor) -> State:
    """Return the layer's state after one step with inputs ``(batch, features)``."""
    _, state = core(inputs[:, None])
    return state


def core_jacobian(core: Core, inputs: Tensor, flat: Tensor, like: State) -> tuple[Tensor, Tensor]:
    """Return the Jacobians ``(batch, n, n)`` of one step, and the states ``(batch, n)`` after it.

    The sequences of a batch are independent. So each sequence is repeated n times, and the i-th copy is differentiated
    by the i-th number of its new state: one backward pass, without vmap, which many layers do not support.

    Args:
        core: The layer.
        inputs: The inputs of this step, ``(batch, features)``.
        flat: The flattened states before the step, ``(batch, n)``.
        like: A state of the layer, as a template for :func:`unflatten_state`.
    """
    batch_size, size = flat.shape
    with differentiating():
        copies = flat.detach().repeat_interleave(size, 0).requires_grad_()
        _, state = core(inputs.repeat_interleave(size, 0)[:, None], unflatten_state(copies, like))
        after = flatten_state(state, len(copies)).view(batch_size, size, size)
        (rows,) = torch.autograd.grad(after.diagonal(dim1=1, dim2=2).sum(), copies, materialize_grads=True)
    # Before version 2.7, torch's materialized zeros require a gradient.
    return rows.detach().view(batch_size, size, size), after[:, 0].detach()


def _jacobians(core: Core, inputs: Tensor, flat: Tensor | None) -> Iterator[Tensor]:
    """Yield the Jacobians ``(batch, n, n)`` of each step, in double precision on the CPU; ``flat`` None is zeros."""
    like = example_state(core, inputs[:, 0])
    if flat is None:
        flat = torch.zeros_like(flatten_state(like, len(inputs)))
    for step_inputs in inputs.unbind(1):
        jacobian, flat = core_jacobian(core, step_inputs, flat, like)
        yield jacobian.cpu().double()
