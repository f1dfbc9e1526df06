from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from rnn_tasks.analysis.flow import encoded
from rnn_tasks.cores import MLSTM, Blocks, DeltaNet, StackRNN
from rnn_tasks.networks import TaggerNetwork
from rnn_tasks.plots.matrix_states import draw_matrix_states
from rnn_tasks.plots.style import NARROW, WIDE
from rnn_tasks.report.blocks import Picture
from rnn_tasks.report.matrix_states import matrix_state_blocks, matrix_states_of
from rnn_tasks.report.sequences import longest
from rnn_tasks.tasks import Echo
from tests.helpers.report_runs import make_run
from tests.helpers.state_layers import Associative

ECHO = Echo(delay=2, sequence_length=9, alphabet_size=4, test_sequences=5)


def test_matrix_states_are_those_of_the_first_head() -> None:
    torch.manual_seed(0)
    run = make_run(ECHO, network=TaggerNetwork(lambda size: Associative(size, 6, heads=2), ECHO.spec).eval())
    states = matrix_states_of(run)
    assert states is not None
    assert states.singular_values is not None
    assert run.batch is not None
    inputs = encoded(run.network, longest(run.batch, 1))
    assert states.after[-1] == inputs.shape[1] == len(states.singular_values)
    for after, matrix in zip(states.after, states.matrices, strict=True):
        expected = run.network.core(inputs[:, :after])[1][0, 0].detach().numpy()
        np.testing.assert_allclose(matrix, expected, rtol=1e-5)
        np.testing.assert_allclose(
            states.singular_values[after - 1], np.linalg.svd(expected, compute_uv=False), rtol=1e-4, atol=1e-5
        )


def test_matrix_states_are_drawn_with_the_first_row_at_the_top() -> None:
    run = make_run(ECHO, network=TaggerNetwork(lambda size: Associative(size, 6, heads=2), ECHO.spec).eval())
    states = matrix_states_of(run)
    assert states is not None
    first, *_, values = draw_matrix_states(states, 7).axes[:4]
    image = first.images[0]
    assert image.origin == "lower"
    np.testing.assert_array_equal(image.get_array(), states.matrices[0][::-1])
    assert len(values.lines) == 3


@pytest.mark.parametrize(
    ("core", "rows", "words"),
    [
        (partial(DeltaNet, hidden_size=6, heads=2), "coordinates of keys", "a query q reads S^T q"),
        (partial(Blocks, hidden_size=4, core=DeltaNet), "coordinates of keys", "a query q reads S^T q"),
        (partial(MLSTM, hidden_size=6), "coordinates of keys", "a query q reads S^T q"),
        (partial(StackRNN, hidden_size=4), "cells, top first", "a cell, the top of the stack first"),
        (partial(Associative, hidden_size=6), "rows", "singular values above 0"),
    ],
)
@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_matrix_states_name_rows_by_the_layer(core: Any, rows: str, words: str, width: float) -> None:
    (picture,), numbers = matrix_state_blocks([make_run(ECHO, network=TaggerNetwork(core, ECHO.spec).eval())], [])
    assert isinstance(picture, Picture)
    assert words in picture.caption
    axes = picture.draw(width).axes
    assert axes[0].get_ylabel() == rows
    assert ("key" in picture.caption) == (rows == "coordinates of keys")
    is_stack = rows.startswith("cells")
    assert len(axes) == 3 + 1 + (not is_stack)  # the matrices, the colour bar, the singular values
    (states,) = numbers["matrix_states"].values()
    assert (states.singular_values is None) == is_stack


def test_layers_without_a_matrix_have_no_picture_of_it() -> None:
    missing: list[str] = []
    assert matrix_state_blocks([make_run(ECHO)], missing) == ([], {})
    assert missing == []
