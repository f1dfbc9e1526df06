import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from rnn_tasks.analysis import hidden_states
from rnn_tasks.analysis.snapshots import joined, take_snapshot
from rnn_tasks.report.page import NARROW, WIDE
from rnn_tasks.report.trajectories import (
    MAX_CHARACTERS,
    MAX_STEPS,
    caption_of_followed,
    draw_followed,
    draw_units,
    followed,
    units,
)
from rnn_tasks.tasks import Copy, Echo, ElmanGrammar
from tests.report.made import made, model_of

ECHO = Echo(delay=2, test_sequences=20, min_eval_length=12, max_eval_length=12)


def test_without_snapshots_the_states_before_and_after_are_seen_from_the_trained_side() -> None:
    subject = made(ECHO)
    found = followed(subject)
    assert found is not None
    assert subject.batch is not None
    assert found.names == ["untrained", "trained"]
    one = subject.batch.rows(0, 1)
    states = hidden_states(subject.model, one)[0].double().numpy()
    pca = PCA(2).fit(states)
    np.testing.assert_allclose(np.abs(found.points.points[1]), np.abs(pca.transform(states)), atol=1e-6)
    before = hidden_states(subject.untrained, one)[0].double().numpy()
    np.testing.assert_allclose(np.abs(found.points.points[0]), np.abs(pca.transform(before)), atol=1e-6)
    assert "".join(found.read) == "".join(subject.shown(one.inputs[0].tolist()))
    assert f"{pca.explained_variance_ratio_.sum():.0%} of that variance" in caption_of_followed(found)


def test_snapshots_are_followed_from_the_first_to_the_last() -> None:
    batch = made(ECHO).batch
    assert batch is not None
    steps = [0, 1, 2, 10, 20, 500, 1000]
    kept = joined([take_snapshot(model_of(ECHO), batch, step) for step in steps])
    found = followed(made(ECHO, snapshots=kept))
    assert found is not None
    assert found.names == ["after 0 steps", "after 2 steps", "after 20 steps", "after 1,000 steps"]
    np.testing.assert_allclose(found.points.points[-1].mean(0), 0, atol=1e-9)  # the reference is centred
    two = joined([take_snapshot(model_of(ECHO), batch, step) for step in (0, 1)])
    short = followed(made(ECHO, snapshots=two))
    assert short is not None
    assert short.names == ["after 0 steps", "after 1 steps"]


def test_units_are_sorted_and_cut() -> None:
    long = made(Copy(layout="arjovsky", delay=200, test_sequences=20))
    found = units(long)
    assert found is not None
    assert found.states.shape == (MAX_STEPS, 6)
    assert (np.diff(found.states.mean(0)) >= 0).all() or len(long.batch.inputs[0]) > MAX_STEPS  # type: ignore[union-attr]
    text = units(made(ElmanGrammar(test_characters=4000)))
    assert text is not None
    assert len(text.read) == len(text.states) == MAX_CHARACTERS


def test_without_sequences_there_is_nothing() -> None:
    assert followed(made(ECHO, batch=None)) is None
    assert units(made(ECHO, batch=None)) is None


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_pictures(width: float) -> None:
    subject = made(ECHO)
    found, own = followed(subject), units(subject)
    assert found is not None
    assert own is not None
    figure = draw_followed(found, width)
    assert [field.get_title(loc="left") for field in figure.axes[:2]] == found.names
    assert [text.get_text() for text in figure.axes[1].texts] == found.read
    assert figure.axes[-1].get_ylabel() == "time step"
    maps = draw_units([("A: one", own), ("B: two", own)], width)
    image = maps.axes[0].images[0]
    assert image.get_clim() == (-np.abs(own.states).max(), np.abs(own.states).max())
    assert np.asarray(image.get_array()).shape == (6, 12)
    assert maps.axes[-1].get_ylabel() == "hidden state"


def test_a_network_of_one_unit_has_no_trajectory_and_is_no_traceback() -> None:
    from rnn_tasks.errors import UsageError

    with pytest.raises(UsageError, match="two units"):
        followed(made(ECHO, model=model_of(ECHO, 1), untrained=model_of(ECHO, 1)))
    with torch.no_grad():
        model = model_of(ECHO)
        model.core.bias_hh_l0.fill_(torch.nan)  # type: ignore[operator]
    with pytest.raises(UsageError, match="diverged"):
        followed(made(ECHO, model=model))
