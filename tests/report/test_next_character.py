import numpy as np
import pytest

from rnn_tasks.plots.next_character import draw_next_characters
from rnn_tasks.plots.style import NARROW, WIDE
from rnn_tasks.report.next_character import PREFIX, exact_odds, next_characters_of
from rnn_tasks.spec.vocabulary import SPACE
from rnn_tasks.tasks import Copy, ElmanGrammar, TimeMachine
from rnn_tasks.texts.grammar import ELMAN
from tests.helpers.report_runs import made

GRAMMAR = ElmanGrammar(test_characters=4000)


def test_what_is_expected_is_along_the_test_text() -> None:
    run = made(GRAMMAR)
    found = next_characters_of(run)
    assert found is not None
    assert found.text == GRAMMAR.text("test")[:PREFIX]
    assert found.probabilities.shape == (PREFIX, len(GRAMMAR.vocabulary))
    np.testing.assert_allclose(found.probabilities.sum(1), 1)
    assert next_characters_of(made(Copy(test_sequences=20))) is None


def test_the_exact_odds_are_the_grammar_s() -> None:
    run = made(GRAMMAR)
    along = next_characters_of(run)
    assert along is not None
    odds = exact_odds(run, along)
    assert odds is not None
    np.testing.assert_allclose(odds.probabilities.sum(1), 1)
    for step in (0, 7, 20):
        for character, value in ELMAN.next_character(along.text[: step + 1]).items():
            assert odds.probabilities[step, along.characters.index(character)] == value
    assert exact_odds(run, along._replace(text="xq")) is None
    task = TimeMachine()
    task.prepare_data()
    assert exact_odds(made(task), along) is None


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_the_picture_marks_what_comes_next(width: float) -> None:
    run = made(GRAMMAR)
    along = next_characters_of(run)
    assert along is not None
    odds = exact_odds(run, along)
    assert odds is not None
    figure = draw_next_characters([("the network", along), ("the grammar", odds)], width)
    field = figure.axes[1]
    rows = [label.get_text() for label in field.get_yticklabels()]
    at, row = (np.asarray(values) for values in field.lines[0].get_data())
    marked = {step: rows[place].replace(SPACE, " ") for step, place in zip(at, row, strict=True)}
    assert all(along.text[step + 1] == character for step, character in marked.items())
    image = np.asarray(field.images[0].get_array())
    assert all(image[place, step] > 0 for step, place in zip(at, row, strict=True))  # what comes was possible
    assert len(marked) > PREFIX / 2
    assert figure.axes[-1].get_ylabel() == "probability"


def test_only_likely_characters_are_shown_and_not_too_many() -> None:
    along = next_characters_of(made(GRAMMAR))
    assert along is not None
    field = draw_next_characters([("the network", along)], WIDE, most=3).axes[0]
    assert len(field.get_yticklabels()) == 3
    sure = along._replace(probabilities=np.eye(len(along.characters))[np.full(PREFIX, 4)])
    shown = [along.characters[4]]
    field = draw_next_characters([("the network", sure)], WIDE, fewest=1, most=99).axes[0]
    assert [label.get_text() for label in field.get_yticklabels()] == shown
