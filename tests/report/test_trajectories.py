import dataclasses

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from rnn_tasks.analysis import hidden_states
from rnn_tasks.analysis.snapshots import joined, take_snapshot
from rnn_tasks.errors import UsageError
from rnn_tasks.plots.style import NARROW, WIDE
from rnn_tasks.plots.trajectories import draw_trajectory, draw_units
from rnn_tasks.report.trajectories import (
    MAX_CHARACTERS,
    MAX_STEPS,
    caption_of_trajectory,
    trajectory_of,
    units_of,
)
from rnn_tasks.tasks import Copy, Echo, ElmanGrammar
from tests.helpers.report_runs import make_run, small_network

ECHO = Echo(delay=2, test_sequences=20, min_eval_length=12, max_eval_length=12)


def test_trajectory_has_both_networks_without_snapshots() -> None:
    run = make_run(ECHO)
    found = trajectory_of(run)
    assert found is not None
    assert run.batch is not None
    assert found.names == ["untrained", "trained"]
    one = run.batch.rows(0, 1)
    states = hidden_states(run.network, one)[0].double().numpy()
    pca = PCA(2).fit(states)
    np.testing.assert_allclose(np.abs(found.points.points[1]), np.abs(pca.transform(states)), atol=1e-6)
    before = hidden_states(run.untrained, one)[0].double().numpy()
    np.testing.assert_allclose(np.abs(found.points.points[0]), np.abs(pca.transform(before)), atol=1e-6)
    assert "".join(found.read) == "".join(run.characters(one.inputs[0].tolist()))
    assert f"{pca.explained_variance_ratio_.sum():.0%} of their variance" in caption_of_trajectory(found)


def test_trajectory_uses_first_and_last_snapshot() -> None:
    batch = make_run(ECHO).batch
    assert batch is not None
    steps = [0, 1, 2, 10, 20, 500, 1000]
    kept = joined([take_snapshot(small_network(ECHO), batch, step) for step in steps])
    found = trajectory_of(make_run(ECHO, snapshots=kept))
    assert found is not None
    assert found.names == ["after 0 steps", "after 2 steps", "after 20 steps", "after 1,000 steps"]
    np.testing.assert_allclose(found.points.points[-1].mean(0), 0, atol=1e-9)  # the reference is centred
    padded = make_run(ECHO, snapshots=dataclasses.replace(kept, targets=torch.tensor([-100, -100, 1, 1, *[-100] * 8])))
    without_padding = trajectory_of(padded)
    assert without_padding is not None
    assert without_padding.points.points.shape[:2] == (4, 4)
    assert without_padding.read == found.read[:4]
    two = joined([take_snapshot(small_network(ECHO), batch, step) for step in (0, 1)])
    short = trajectory_of(make_run(ECHO, snapshots=two))
    assert short is not None
    assert short.names == ["after 0 steps", "after 1 steps"]


def test_units_of_sorts_units_and_limits_steps() -> None:
    long = make_run(Copy(layout="arjovsky", delay=200, test_sequences=20))
    found = units_of(long)
    assert found is not None
    assert found.states.shape == (MAX_STEPS, 6)
    assert (np.diff(found.states.mean(0)) >= 0).all() or len(long.batch.inputs[0]) > MAX_STEPS  # type: ignore[union-attr]
    text = units_of(make_run(ElmanGrammar(test_characters=4000)))
    assert text is not None
    assert len(text.read) == len(text.states) == MAX_CHARACTERS


def test_trajectory_and_units_are_none_without_sequences() -> None:
    assert trajectory_of(make_run(ECHO, batch=None)) is None
    assert units_of(make_run(ECHO, batch=None)) is None


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_pictures_have_all_lines_and_labels(width: float) -> None:
    run = make_run(ECHO)
    found, units = trajectory_of(run), units_of(run)
    assert found is not None
    assert units is not None
    figure = draw_trajectory(found, width)
    assert [ax.get_title(loc="left") for ax in figure.axes[:2]] == found.names
    assert [text.get_text() for text in figure.axes[1].texts] == found.read
    assert figure.axes[-1].get_ylabel() == "time step"
    maps = draw_units([("A: one", units), ("B: two", units)], width)
    image = maps.axes[0].images[0]
    assert image.get_clim() == (-np.abs(units.states).max(), np.abs(units.states).max())
    assert np.asarray(image.get_array()).shape == (6, 12)
    assert maps.axes[-1].get_ylabel() == "hidden state"


def test_trajectory_raises_with_one_unit_or_after_divergence() -> None:
    with pytest.raises(UsageError, match="two units"):
        trajectory_of(make_run(ECHO, network=small_network(ECHO, 1), untrained=small_network(ECHO, 1)))
    with torch.no_grad():
        model = small_network(ECHO)
        model.core.bias_hh_l0.fill_(torch.nan)  # type: ignore[operator]
    with pytest.raises(UsageError, match="diverged"):
        trajectory_of(make_run(ECHO, network=model))
