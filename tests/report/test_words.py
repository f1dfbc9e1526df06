import math
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from rnn_tasks.analysis import hidden_states
from rnn_tasks.analysis.structure import WordStates, cluster_purity, word_states
from rnn_tasks.cores import LSTM
from rnn_tasks.models import LanguageModel
from rnn_tasks.plots.style import SPACE
from rnn_tasks.report import words as module
from rnn_tasks.report.page import NARROW, WIDE
from rnn_tasks.report.words import (
    METRICS,
    PLACES,
    commonest,
    draw_positions,
    draw_tree,
    lexicon_of,
    lexicon_table,
    long_text,
    purity_table,
    words_of,
)
from rnn_tasks.tasks import Copy, ElmanGrammar, TimeMachine
from rnn_tasks.texts.grammar import ELMAN
from tests.report.made import made, model_of

GRAMMAR = ElmanGrammar(test_characters=20_000)


@pytest.fixture(scope="module")
def grammar() -> Any:
    torch.manual_seed(0)
    return made(GRAMMAR, model=model_of(GRAMMAR, 12), untrained=model_of(GRAMMAR, 12))


def test_the_text_is_the_beginning_of_the_test(grammar: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    text = long_text(GRAMMAR)
    assert text.inputs.flatten().tolist() == GRAMMAR.symbols("test")[: text.inputs.numel()].tolist()
    monkeypatch.setattr(module, "MAX_CHARACTERS", 1000)
    assert 700 < long_text(GRAMMAR).inputs.numel() <= 1000


def test_words_and_their_purity_are_those_of_the_pure_functions(grammar: Any) -> None:
    found = words_of(grammar)
    assert found is not None
    text = long_text(GRAMMAR)
    for read, model in ((found.trained, grammar.model), (found.untrained, grammar.untrained)):
        assert read.purity is not None
        assert set(read.purity) == {(place, measure) for place in PLACES for measure in METRICS}
        states = word_states(hidden_states(model, text), text.inputs, GRAMMAR.vocabulary, after_space=True)
        kinds = [ELMAN.word_categories[word] for word in states.words]
        expected = cluster_purity(states.states - states.states.mean(0), kinds, metric="cosine")
        assert read.purity["after the space behind", "angle"].purity == expected.purity
        assert set(read.tree.words) == set(states.words) <= ELMAN.lexicon
    table = purity_table([("one", found)])
    assert table is not None
    assert len(table.rows) == 4
    purity = found.trained.purity["after the last letter", "angle"]  # type: ignore[index]
    assert table.rows[1][:3] == ["after the last letter, angle", f"{purity.purity:.3f}", f"{purity.p_value:.3f}"]
    assert len(purity_table([("A: one", found), ("B: two", found)]).rows) == 8  # type: ignore[union-attr]


def test_the_commonest_words_are_kept_in_alphabetical_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WORDS", 2)
    states = np.arange(3.0)[:, None]
    kept = commonest(WordStates(("a", "b", "c"), states, np.array([5, 1, 9])))
    assert (kept.words, kept.states.ravel().tolist(), kept.counts.tolist()) == (("a", "c"), [0.0, 2.0], [5, 9])


def test_words_of_a_book_have_no_categories_and_no_purity() -> None:
    task = TimeMachine()
    task.prepare_data()
    subject = made(task)
    found = words_of(subject)
    assert found is not None
    assert found.trained.purity is None
    assert purity_table([("one", found)]) is None
    assert len(found.trained.tree.words) == module.MAX_WORDS
    assert lexicon_of(task) == frozenset(task.text("train").split())
    assert words_of(made(Copy(test_sequences=20))) is None


def test_the_lexicon_of_the_grammar_is_its_own() -> None:
    assert lexicon_of(GRAMMAR) == ELMAN.lexicon


def test_the_share_of_words_that_a_network_writes(grammar: Any) -> None:
    core: Any = partial(LSTM, hidden_size=5)
    model = LanguageModel(core, GRAMMAR.spec, torch.optim.Adam).eval()

    def write(prefix: str, length: int, temperature: float, seed: int) -> str:
        return prefix + (" the boy see a cat" if temperature < 1 else " thx boy sxx a cxt")

    model.generate = write  # type: ignore[method-assign,assignment]
    subject = made(GRAMMAR, model=model, untrained=grammar.untrained)
    table, numbers = lexicon_table([subject, made(Copy(test_sequences=20))])
    assert table is not None
    shares = numbers[subject.label]["temperature"]
    assert shares["0.5"] == 1.0  # the last word, cat, may be cut
    assert shares["1.0"] == pytest.approx(3 / 5)  # boy thx boy sxx a
    assert table.rows[0][1:4] == ["100.0%", "100.0%", "60.0%"]
    assert lexicon_table([made(Copy(test_sequences=20))])[0] is None
    assert math.isnan(module.lexicon_share("two words", frozenset()))


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_pictures(grammar: Any, width: float) -> None:
    found = words_of(grammar)
    assert found is not None
    (tree,) = draw_tree(found.trained.tree, width).axes
    names = [label.get_text() for label in tree.get_yticklabels()]
    assert len(names) == len(found.trained.tree.words)
    assert "noun human  boy" in names
    figure = draw_positions([(grammar, found)], width)
    (field,) = figure.axes
    lines = {str(line.get_label()): np.asarray(line.get_ydata()) for line in field.lines}
    letters = found.accuracy.letters
    assert lines["trained"].tolist() == letters.share[letters.counts >= module.LEAST_COUNT].tolist()
    assert lines["n-gram, all characters"][0] == GRAMMAR.baseline_on("test").accuracy
    assert field.get_xticklabels()[-1].get_text() == SPACE
