"""The state of a layer that carries a matrix, along one sequence."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from rnn_tasks.analysis.flow import encoded, evaluating
from rnn_tasks.cores import MLSTM, Blocks, Core, DeltaNet, StackRNN, map_state
from rnn_tasks.errors import require
from rnn_tasks.plots.matrix_states import MatrixStates, draw_matrix_states
from rnn_tasks.report.answers import labelled, picture_name
from rnn_tasks.report.blocks import Block, Picture
from rnn_tasks.report.run_data import RunData, attempt
from rnn_tasks.report.sequences import longest

MAX_STEPS = 200
"""Largest number of steps along the sequence."""

SHOWN = 3
"""Number of steps after which the matrix is drawn."""

CAPTION = "The {what} of the trained network after some time steps of one test sequence. "

SINGULAR_VALUES = (
    "Below: all its singular values after each time step. The matrix acts on as many independent directions as it has "
    "singular values above 0."
)

PAIRS = (
    "It stores values under keys: a value v that is written under a key k adds k v^T, and a query q reads S^T q. So a "
    "row is one coordinate of all keys and a column one coordinate of all values: no row is a stored pair. Below: all "
    "singular values of S after each time step. Values under n independent keys need n singular values above 0."
)


class Kind(NamedTuple):
    """What the matrix in the state of a layer is.

    Attributes:
        caption: The caption of its picture.
        rows: What its rows are.
        columns: What its columns are.
        has_singular_values: Whether its singular values mean something.
    """

    caption: str
    rows: str
    columns: str
    has_singular_values: bool = True


MATRIX = Kind(CAPTION.format(what="first matrix in the state") + SINGULAR_VALUES, "rows", "columns")
MEMORY = Kind(CAPTION.format(what="matrix S of the first head") + PAIRS, "coordinates of keys", "coordinates of values")
MEMORY_OF_MLSTM = MEMORY._replace(
    caption=MEMORY.caption + " The last column is the sum of the keys, which scales what a query reads."
)
STACK = Kind(
    CAPTION.format(what="first stack") + "Each row is a cell, the top of the stack first.",
    "cells, top first",
    "features of a cell",
    has_singular_values=False,
)


def kind_of(core: Core) -> Kind:
    """Return what the first matrix in the state of a layer is.

    Args:
        core: The layer.
    """
    if isinstance(core, Blocks):
        return kind_of(core.blocks[0].core)
    if isinstance(core, MLSTM):
        return MEMORY_OF_MLSTM
    return STACK if isinstance(core, StackRNN) else MEMORY if isinstance(core, DeltaNet) else MATRIX


@torch.no_grad()
def matrix_states_of(run: RunData) -> MatrixStates | None:
    """Return the matrix in the state along the longest test sequence; None without one, or without test sequences.

    Args:
        run: The run.
    """
    if run.batch is None:
        return None
    one, core, matrices, state = longest(run.batch, 1), run.network.core, [], None
    with evaluating(run.network):
        for inputs in encoded(run.network, one)[:, :MAX_STEPS].unbind(1):
            _, state = core(inputs[:, None], state)
            found = first_matrix(state)
            if found is None:
                return None
            matrices.append(found.double())
    values = torch.stack(matrices)
    require(bool(values.isfinite().all()), "the state is not finite: the network has diverged")
    after = np.unique(np.linspace(0, len(values), SHOWN + 1)[1:].round().astype(np.int64))
    kind = kind_of(core)
    singular_values = torch.linalg.svdvals(values).numpy() if kind.has_singular_values else None
    return MatrixStates(after, values[after - 1].numpy(), singular_values, kind.rows, kind.columns)


def first_matrix(state: Any) -> Tensor | None:
    """Return the first matrix of a state of one sequence; None if no tensor is ``(batch, ..., rows, columns)``.

    Example:
        >>> first_matrix((torch.zeros(1, 5), torch.zeros(1, 2, 3, 4))).shape
        torch.Size([3, 4])
    """
    matrices: list[Tensor] = []

    def keep(values: Tensor) -> Tensor:
        if values.ndim > 3:  # three dimensions are (layers, batch, features)
            matrices.append(values.flatten(0, -3)[0])
        return values

    map_state(state, keep)
    return matrices[0] if matrices else None


def matrix_state_blocks(runs: Sequence[RunData], missing: list[str]) -> tuple[list[Block], dict[str, Any]]:
    """Return a picture of the matrix of each run whose layer carries one, and the numbers by run.

    Args:
        runs: The runs.
        missing: Lines about missing parts, to which this function may append.
    """
    blocks: list[Block] = []
    numbers: dict[str, Any] = {}
    for run in runs:
        states = attempt(missing, labelled(runs, run, "matrix in the state"), partial(matrix_states_of, run))
        if states is not None:
            name = picture_name(runs, run, "matrix_states")
            blocks.append(
                Picture(
                    name, partial(draw_matrix_states, states), labelled(runs, run, kind_of(run.network.core).caption)
                )
            )
            numbers[run.label] = states
    return blocks, {"matrix_states": numbers} if numbers else {}
