from functools import partial
from itertools import product

import numpy as np
import pytest
import torch

from rnn_tasks.analysis.fixed_points import FixedPoints
from rnn_tasks.cores import Elman
from rnn_tasks.networks import Network, RegressorNetwork
from rnn_tasks.plots.style import NARROW, WIDE
from rnn_tasks.report.blocks import Picture
from rnn_tasks.report.fixed_points import caption_of_fixed_points, constant_input, fixed_point_blocks, fixed_points_of
from rnn_tasks.report.hidden_states import hidden_states_section
from rnn_tasks.report.run_data import RunData
from rnn_tasks.tasks import Automaton, Copy, ElmanGrammar, FlipFlopBits, VariableDelayEcho
from tests.helpers.report_runs import make_run

ATTRACTOR = 0.957504024  # the positive solution of h = tanh(2 h)


def flip_flop_network() -> Network:
    """Return a network that remembers three bits: h becomes tanh(2 h + 4 x)."""
    network = RegressorNetwork(partial(Elman, hidden_size=3), FlipFlopBits().spec).eval()
    with torch.no_grad():
        for name, weight in network.core.named_parameters():
            weight.copy_(
                2 * torch.eye(3) if "weight_hh" in name else 4 * torch.eye(3) if "weight" in name else 0 * weight
            )
    return network


def flip_flop_run(label: str = "run/version_0", probability: float = 0.1) -> RunData:
    task = FlipFlopBits(length=30, pulse_probability=probability, test_sequences=40)
    return make_run(task, label, network=flip_flop_network(), untrained=flip_flop_network())


def test_fixed_points_of_three_bits_are_eight() -> None:
    placed = fixed_points_of(flip_flop_run())
    assert placed is not None
    stable = placed.found.states[placed.found.is_stable]
    corners = np.array(list(product((-ATTRACTOR, ATTRACTOR), repeat=3)))
    np.testing.assert_allclose(stable[np.lexsort(stable.T[::-1])], corners, atol=1e-7)
    assert placed.states.shape == (8, 30, 3)
    gaps = placed.points.points @ placed.points.components + placed.points.mean - placed.found.states
    assert np.abs(gaps).max() < 1e-6


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_fixed_points_are_drawn_in_planes_and_circle(width: float) -> None:
    blocks, numbers = fixed_point_blocks([flip_flop_run()], [])
    (picture,) = blocks
    assert isinstance(picture, Picture)
    assert "8 are stable" in picture.caption
    assert "zeros" in picture.caption
    assert numbers["fixed_points"]["run/version_0"]["stable"] == 8
    figure = picture.draw(width)
    assert len(figure.axes) == 3
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels[:2] == ["states of test sequences", "stable fixed point"]
    for ax in figure.axes[:2]:
        (stable,) = [line for line in ax.lines if line.get_label() == "stable fixed point"]
        assert len(np.asarray(stable.get_xdata())) == 8


def test_constant_input_is_the_blank_or_zeros() -> None:
    echo = make_run(VariableDelayEcho(max_delay=2, alphabet_size=3, test_sequences=20))
    assert echo.batch is not None
    assert constant_input(echo) is None  # no sequence contains a blank
    echo.batch.inputs[0, 1] = 0
    blank = constant_input(echo)
    assert blank is not None
    assert echo.network.spec.blank == 0
    assert blank.tolist() == [1, 0, 0, 0, 0, 0, 1]  # the blank, and the last of three delays
    zeros = constant_input(flip_flop_run())
    assert zeros is not None
    assert zeros.tolist() == [0, 0, 0]
    text = make_run(ElmanGrammar(test_characters=2000))
    assert constant_input(text) is None
    assert fixed_points_of(text) is None


def test_constant_input_is_none_when_blanks_are_padding() -> None:
    run = make_run(Automaton(language="parity", max_length=9, test_sequences=40))
    blank = run.network.spec.blank
    assert run.batch is not None
    assert blank is not None
    assert (run.batch.inputs == blank).any()
    missing: list[str] = []
    assert fixed_point_blocks([run], missing) == ([], {"fixed_points": {}})
    assert not missing
    assert fixed_points_of(make_run(Copy(test_sequences=20))) is not None


def test_fixed_points_start_from_states_before_the_padding() -> None:
    run = flip_flop_run()
    assert run.batch is not None
    run.batch.targets[:, 12:] = torch.nan
    run.batch.targets[8:, 1:] = torch.nan
    placed = fixed_points_of(run)
    assert placed is not None
    assert placed.found.num_starts == 8 * 12 + 22  # the states of 30 sequences
    assert placed.states.shape[:2] == (8, 12)


def test_caption_explains_other_searches_and_attractors() -> None:
    found = FixedPoints(
        np.zeros((2, 1)), np.zeros(2), np.full((2, 1), 0.5 + 0j), np.array([True, True]), np.array([3, 4]), 10
    )
    spec = FlipFlopBits().spec
    text = caption_of_fixed_points(found, spec)
    assert "7 of these searches ended at a fixed point, and the others stopped where the state still moves" in text
    assert "The Lyapunov exponents and the time constant do not show this memory" in text
    one = found._replace(is_stable=np.array([True, False]), num_starts=7)
    for piece in ("the others", "time constant"):
        assert piece not in caption_of_fixed_points(one, spec)


def test_section_shows_fixed_points_of_each_run() -> None:
    section = hidden_states_section([flip_flop_run("A: one"), flip_flop_run("B: two")])
    names = [block.name for block in section.blocks if isinstance(block, Picture)]
    assert {"fixed_points_a", "fixed_points_b"} <= set(names)
    assert section.numbers["fixed_points"].keys() == {"A: one", "B: two"}


def test_fixed_points_that_are_not_found_are_listed_as_missing() -> None:
    task = Copy(test_sequences=20)
    run = make_run(task)
    with torch.no_grad():
        for weight in run.network.core.parameters():
            weight.fill_(torch.nan)
    missing: list[str] = []
    assert fixed_point_blocks([run], missing) == ([], {"fixed_points": {}})
    assert missing == ["fixed points: the hidden states are not finite: the network has diverged"]
