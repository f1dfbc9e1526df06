"""The recurrence of layers whose state is a matrix, computed in chunks of time steps.

Only two products of matrices per chunk need the state at its start. All else is computed for all chunks at once.

Sources: for the chunks, S. Yang et al., "Parallelizing linear transformers with the delta rule over sequence length",
2024, https://arxiv.org/abs/2406.06484; for the decay, S. Yang, J. Kautz and A. Hatamizadeh, "Gated delta networks:
improving Mamba2 with delta rule", 2025, https://arxiv.org/abs/2412.06464
"""

import torch
from torch import Tensor
from torch.nn import functional

from rnn_tasks.cores.linear_scan import at_least_single

CHUNK = 32
"""Number of time steps that are computed at once."""


def matrix_scan(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    state: Tensor | None = None,
    beta: Tensor | None = None,
    log_decay: Tensor | None = None,
    delta: bool = True,
    chunk: int = CHUNK,
) -> tuple[Tensor, Tensor]:
    """Write to a matrix at every time step, and read from it.

    Step t of each head multiplies the state S by ``exp(log_decay_t)``, then writes r times (r >= 1)::

        S = S + beta_i k_i (v_i - S^T k_i)^T        with delta: replace what S returns for the key
        S = S + beta_i k_i v_i^T                    without delta: add

    and reads ``o_t = S^T q_t``. With ``delta``, a write multiplies S by ``I - beta_i k_i k_i^T`` before it adds. This
    matrix has the eigenvalues 1 and ``1 - beta_i |k_i|^2``; S stays bounded if these are between -1 and 1.

    Time and memory are linear in the number of steps. Half precision is computed in single precision. A number that is
    not finite also reaches the earlier steps of its chunk.

    Args:
        query: The vectors q, ``(batch, time, heads, d_k)``.
        key: The vectors k, ``(batch, time * r, heads, d_k)``; step t writes ``t * r`` to ``t * r + r - 1``.
        value: The vectors v, ``(batch, time * r, heads, d_v)``.
        state: S before the first step, ``(batch, heads, d_k, d_v)``; None for zeros.
        beta: Strength of each write, ``(batch, time * r, heads)``; None for 1.
        log_decay: Logarithm of the factor on S at each step, ``(batch, time, heads)``; None for the factor 1.
        delta: Whether a write replaces what S returns for its key.
        chunk: Largest number of time steps in a chunk, ``>= 1``. It does not change the result; 1 goes step by step.

    Returns:
        The vectors o, ``(batch, time, heads, d_v)``, and S after the last step.

    Example:
        >>> key = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]).view(1, 3, 1, 2)
        >>> value = torch.tensor([5.0, 6.0, 7.0]).view(1, 3, 1, 1)
        >>> query = torch.tensor([1.0, 0.0]).expand(1, 3, 1, 2)
        >>> outputs, state = matrix_scan(query, key, value)
        >>> outputs.flatten(), state.flatten()
        (tensor([5., 5., 7.]), tensor([7., 6.]))
    """
    batch, time, heads, size = query.shape
    count = -(-time // chunk)
    steps = -(-time // count)
    query = at_least_single(query)
    if state is None:
        state = query.new_zeros(batch, heads, size, value.shape[3])

    def to_chunks(values: Tensor) -> Tensor:
        """Return ``(count * batch * heads, steps or writes, features)``; fill up the last chunk by steps of zeros."""
        padding = (steps * count - time) * (values.shape[1] // time)
        values = values.to(query.dtype)
        if padding:
            values = functional.pad(values, (0, 0, 0, 0, 0, padding))
        in_chunk = values.shape[1] // count
        return values.view(batch, count, in_chunk, heads, values.shape[3]).permute(1, 0, 3, 2, 4).flatten(0, 2)

    with torch.autocast(query.device.type, enabled=False):
        outputs, state = scan_chunks(
            to_chunks(query),
            to_chunks(key),
            to_chunks(value),
            state.to(query.dtype).flatten(0, 1),
            beta=None if beta is None else to_chunks(beta[..., None]),
            decay=None if log_decay is None else to_chunks(log_decay[..., None]).cumsum(1),
            delta=delta,
            count=count,
        )
    outputs = outputs.view(count, batch, heads, steps, value.shape[3]).permute(1, 0, 3, 2, 4).flatten(1, 2)
    return outputs[:, :time], state.view(batch, heads, *state.shape[1:])


def scan_chunks(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    state: Tensor,
    beta: Tensor | None,
    decay: Tensor | None,
    delta: bool,
    count: int,
) -> tuple[Tensor, Tensor]:
    """Run :func:`matrix_scan` for n states over ``count`` chunks; the first n rows are the first chunk.

    Args:
        query: ``(count * n, steps, d_k)``.
        key: ``(count * n, steps * r, d_k)``.
        value: ``(count * n, steps * r, d_v)``.
        state: ``(n, d_k, d_v)``.
        beta: ``(count * n, steps * r, 1)``, or None.
        decay: Logarithm of the factor on S since the start of the chunk, ``(count * n, steps, 1)``, or None.
        delta: As in :func:`matrix_scan`.
        count: Number of chunks.
    """
    writes_per_step = key.shape[1] // query.shape[1]
    write = torch.arange(key.shape[1], device=key.device)
    last_write = torch.arange(1, query.shape[1] + 1, device=key.device) * writes_per_step - 1
    decay_at_write = None if decay is None else decay.repeat_interleave(writes_per_step, 1)

    def by_chunk(values: Tensor) -> tuple[Tensor, ...]:
        return values.view(count, state.shape[0], *values.shape[1:]).unbind(0)

    strong_keys: tuple[Tensor, ...] = ()
    systems: tuple[Tensor, ...] = ()
    if delta:
        # What a write adds, beta_i (v_i - S^T k_i), depends on the earlier writes of its chunk: a triangular system.
        strong_key = key if beta is None else key * beta
        overlap = torch.bmm(strong_key, key.transpose(1, 2))
        systems = by_chunk(overlap * remaining(decay_at_write, decay_at_write, write < write[:, None], key.dtype))
        strong_keys = by_chunk(strong_key if decay_at_write is None else strong_key * decay_at_write.exp())
    key_at_end = key if decay_at_write is None else key * (decay_at_write[:, -1:] - decay_at_write).exp()
    columns, values = by_chunk(key_at_end.transpose(1, 2)), by_chunk(value if beta is None else value * beta)
    kept = () if decay is None else by_chunk(decay[:, -1:].exp())

    starts, writes = [], []
    for i, written in enumerate(values):
        starts.append(state)
        if delta:
            right_sides = torch.baddbmm(written, strong_keys[i], state, alpha=-1)
            written = torch.linalg.solve_triangular(systems[i], right_sides, upper=False, unitriangular=True)
        writes.append(written)
        state = torch.baddbmm(state * kept[i] if kept else state, columns[i], written)

    weights = torch.bmm(query, key.transpose(1, 2))
    weights = weights * remaining(decay, decay_at_write, write <= last_write[:, None], key.dtype)
    from_start = torch.bmm(query if decay is None else query * decay.exp(), torch.cat(starts))
    return torch.baddbmm(from_start, weights, torch.cat(writes)), state


def step_eigenvalues(key: Tensor, beta: Tensor | None, log_decay: Tensor | None, time: int) -> Tensor:
    """Return the eigenvalues of what each step multiplies S by: complex numbers, ``(batch, time, heads, d_k)``.

    Args:
        key: As in :func:`matrix_scan`, like the next two arguments.
        beta: None without ``delta``.
        log_decay: None for the factor 1.
        time: Number of time steps.

    Example:
        >>> key = torch.tensor([1.0, 0.0]).view(1, 1, 1, 2)
        >>> step_eigenvalues(key, 2 * torch.ones(1, 1, 1), None, time=1).flatten()
        tensor([-1.+0.j,  1.+0.j], dtype=torch.complex128)
    """
    key = key.detach().cpu().double()
    batch, writes, heads, size = key.shape
    values: Tensor = torch.ones(batch, time, heads, size, dtype=torch.complex128)
    if beta is not None and writes == time:
        values[..., 0] = 1 - beta.cpu() * key.square().sum(-1)
    elif beta is not None:
        transition = torch.eye(size, dtype=key.dtype).expand(batch, time, heads, size, size)
        strong_key = key * beta.detach().cpu()[..., None]
        added = (strong_key[..., None] * key[..., None, :]).view(batch, time, writes // time, heads, size, size)
        for write in added.unbind(2):
            transition = transition - write @ transition
        values = torch.linalg.eigvals(transition)
    return values if log_decay is None else values * log_decay.detach().cpu().double().exp()[..., None]


def remaining(decay: Tensor | None, decay_at_write: Tensor | None, is_earlier: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the share of each earlier write that remains in S at each later time; 0 for writes that are not earlier.

    Args:
        decay: As in :func:`scan_chunks`, at the later times.
        decay_at_write: The same at the writes.
        is_earlier: Whether the write is earlier, ``(times, writes)``.
        dtype: The type of the result if there is no decay.
    """
    if decay is None or decay_at_write is None:
        return is_earlier.to(dtype)
    return (decay - decay_at_write.transpose(1, 2)).masked_fill(~is_earlier, -torch.inf).exp()
