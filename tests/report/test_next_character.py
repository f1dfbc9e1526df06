import numpy as np
import pytest

from rnn_tasks.plots.next_character import draw_next_characters
from rnn_tasks.plots.style import NARROW, WIDE
from rnn_tasks.report.next_character import PREFIX, exact_probabilities, next_characters_of
from rnn_tasks.spec.vocabulary import SPACE
from rnn_tasks.tasks import Copy, ElmanGrammar, TimeMachine
from rnn_tasks.texts.grammar import ELMAN
from tests.helpers.report_runs import make_run

GRAMMAR = ElmanGrammar(test_characters=4000)


def test_next_characters_of_follows_the_test_text() -> None:
    run = make_run(GRAMMAR)
    found = next_characters_of(run)
    assert found is not None
    assert found.text == GRAMMAR.text("test")[:PREFIX]
    assert found.probabilities.shape == (PREFIX, len(GRAMMAR.vocabulary))
    np.testing.assert_allclose(found.probabilities.sum(1), 1)
    assert next_characters_of(make_run(Copy(test_sequences=20))) is None


def test_exact_probabilities_are_those_of_the_grammar() -> None:
    run = make_run(GRAMMAR)
    along = next_characters_of(run)
    assert along is not None
    odds = exact_probabilities(run, along)
    assert odds is not None
    np.testing.assert_allclose(odds.probabilities.sum(1), 1)
    for step in (0, 7, 20):
        for character, value in ELMAN.next_character(along.text[: step + 1]).items():
            assert odds.probabilities[step, along.characters.index(character)] == value
    assert exact_probabilities(run, along._replace(text="xq")) is None
    task = TimeMachine()
    task.prepare_data()
    assert exact_probabilities(make_run(task), along) is None


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_picture_marks_the_actual_next_characters(width: float) -> None:
    run = make_run(GRAMMAR)
    along = next_characters_of(run)
    assert along is not None
    odds = exact_probabilities(run, along)
    assert odds is not None
    figure = draw_next_characters([("the network", along), ("the grammar", odds)], width)
    ax = figure.axes[1]
    rows = [label.get_text() for label in ax.get_yticklabels()]
    at, row = (np.asarray(values) for values in ax.lines[0].get_data())
    marked = {step: rows[place].replace(SPACE, " ") for step, place in zip(at, row, strict=True)}
    assert all(along.text[step + 1] == character for step, character in marked.items())
    image = np.asarray(ax.images[0].get_array())
    assert all(image[place, step] > 0 for step, place in zip(at, row, strict=True))  # what comes was possible
    assert len(marked) > PREFIX / 2
    assert figure.axes[-1].get_ylabel() == "probability"


def test_picture_shows_a_bounded_number_of_characters() -> None:
    along = next_characters_of(make_run(GRAMMAR))
    assert along is not None
    ax = draw_next_characters([("the network", along)], WIDE, most=3).axes[0]
    assert len(ax.get_yticklabels()) == 3
    sure = along._replace(probabilities=np.eye(len(along.characters))[np.full(PREFIX, 4)])
    shown = [along.characters[4]]
    ax = draw_next_characters([("the network", sure)], WIDE, fewest=1, most=99).axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == shown
