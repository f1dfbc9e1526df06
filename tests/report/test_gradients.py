import math
from typing import Any

import numpy as np
import pytest
import torch

from rnn_tasks.analysis import hidden_states
from rnn_tasks.analysis.snapshots import joined, take_snapshot
from rnn_tasks.report.gradients import (
    AFTER,
    BEFORE,
    DECADES,
    GRADIENT_SEQUENCES,
    VANISHED,
    clipping,
    draw_clipping,
    draw_lags,
    draw_training,
    gradients_while_learning,
    lags,
)
from rnn_tasks.report.page import NARROW, WIDE
from rnn_tasks.report.run_data import Subject
from rnn_tasks.spec import Batch
from rnn_tasks.tasks import Copy, Echo, ElmanGrammar
from tests.report.made import curve, made, model_of

ECHO = Echo(delay=3, test_sequences=20)


def watched(subject: Subject, *steps: int) -> Subject:
    """The same run with a snapshot of its network at each of some steps."""
    assert subject.batch is not None
    parts = [take_snapshot(subject.model, subject.batch, step) for step in steps]
    return made(ECHO, subject.label, model=subject.model, snapshots=joined(parts))


def test_the_gradient_is_taken_from_the_last_scored_step_of_both_networks() -> None:
    subject = made(ECHO)
    found = lags(subject)
    assert found is not None
    assert subject.batch is not None
    assert found.trained.dtype == np.float64
    few = subject.batch.rows(0, GRADIENT_SEQUENCES)
    for model, norms in ((subject.model, found.trained), (subject.untrained, found.untrained)):
        lengths = []
        for inputs, targets in zip(few.inputs, few.targets, strict=True):
            last = int((targets >= 0).nonzero()[-1])
            state = hidden_states(model, Batch(inputs[None], targets[None]))[0, last].requires_grad_()
            readout: Any = model.readout
            loss = torch.nn.functional.cross_entropy(readout(state), targets[last])
            lengths.append(float(torch.autograd.grad(loss, state)[0].norm()))
        assert norms[0] == pytest.approx(np.mean(lengths), rel=1e-5)


def test_the_run_s_own_network_stays_in_single_precision() -> None:
    subject = made(ECHO)
    lags(subject)
    assert subject.model.dtype == torch.float32


def test_without_sequences_there_is_no_gradient() -> None:
    assert lags(made(ECHO, batch=None)) is None
    assert gradients_while_learning(made(ECHO)) is None
    assert clipping(made(ECHO)) is None


@pytest.mark.parametrize(
    ("trainer", "limit"),
    [
        ({"gradient_clip_val": 2.0}, 2.0),
        ({"gradient_clip_val": 2.0, "gradient_clip_algorithm": "norm"}, 2.0),
        ({"gradient_clip_val": 2.0, "gradient_clip_algorithm": "value"}, None),
        ({"gradient_clip_val": None}, None),
        ({}, None),
    ],
)
def test_the_share_of_clipped_steps(trainer: dict[str, Any], limit: float | None) -> None:
    curves = {BEFORE: curve(4.0, 2.0000001, 1.0, 8.0), AFTER: curve(2.0, 2.0, 1.0, 2.0)}
    found = clipping(made(ECHO, curves=curves, config={"trainer": trainer}))
    assert found is not None
    assert (found.clipped, found.limit) == (0.5, limit)
    assert found.before.steps.tolist() == [10, 20, 30, 40]


def test_only_steps_that_have_both_norms_count() -> None:
    found = clipping(made(ECHO, curves={BEFORE: curve(4.0, 4.0), AFTER: curve(2.0)}))
    assert found is not None
    assert (found.clipped, len(found.before.steps)) == (1.0, 1)
    nothing = clipping(made(ECHO, curves={BEFORE: curve(4.0), AFTER: curve()}))
    assert nothing is not None
    assert math.isnan(nothing.clipped)


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_pictures_have_a_field_for_each_run(width: float) -> None:
    subjects = [watched(made(ECHO, label), 0, 5, 20) for label in ("A: one", "B: two")]
    norms = {BEFORE: curve(4.0, 1.0), AFTER: curve(2.0, 1.0)}
    by_lag = [(subject, back) for subject in subjects if (back := lags(subject)) is not None]
    known = [(subject, found) for subject in subjects if (found := gradients_while_learning(subject)) is not None]
    clipped = clipping(made(ECHO, curves=norms, config={"trainer": {"gradient_clip_val": 2.0}}))
    assert clipped is not None
    for figure in (
        draw_lags(by_lag, width),
        draw_training(known, width),
        draw_clipping([(subject, clipped) for subject in subjects], width),
    ):
        assert [field.get_title(loc="left") for field in figure.axes[:2]] == ["A: one", "B: two"]
        assert all(field.get_xlabel() and field.get_ylabel() for field in figure.axes[:2])


def test_the_line_where_the_answer_was_read() -> None:
    subject = made(ECHO)
    found = lags(subject)
    assert found is not None
    (field,) = draw_lags([(subject, found)], WIDE).axes
    assert np.asarray(field.lines[-1].get_xdata()).tolist() == [3, 3]
    grammar = made(ElmanGrammar(test_characters=2000))
    of_text = lags(grammar)
    assert of_text is not None
    assert len(draw_lags([(grammar, of_text)], WIDE).axes[0].lines) == 2


def test_what_has_vanished_is_drawn_at_the_bottom() -> None:
    subject = made(ECHO)
    found = lags(subject)
    assert found is not None
    gone = found._replace(trained=np.array([1.0, 0.0]), untrained=np.array([1.0, 1e-30]))
    (field,) = draw_lags([(subject, gone)], WIDE).axes
    assert field.lines[0].get_ydata()[1] == VANISHED  # type: ignore[index]


def test_each_moment_of_a_training_is_shown_where_it_is_nearest() -> None:
    found = gradients_while_learning(watched(made(ECHO), 0, 10, 100))
    assert found is not None
    marked = found._replace(norms=np.array([[1.0] * 4, [1e-2] * 4, [1e-30] * 4]))
    image = draw_training([(made(ECHO), marked)], WIDE).axes[0].images[0]
    row = np.asarray(image.get_array())[0]
    assert (row[0], row[len(row) // 10], row[-1]) == (0, -2, -DECADES)
    assert list(image.get_extent())[:2] == [0, 100]


def test_snapshots_of_one_moment_are_no_training() -> None:
    task = Copy(test_sequences=20)
    subject = made(task)
    assert subject.batch is not None
    once = take_snapshot(model_of(task), subject.batch, 0)
    assert gradients_while_learning(made(task, snapshots=once)) is None
