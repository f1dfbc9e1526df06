import math
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from rnn_tasks.analysis import hidden_states
from rnn_tasks.analysis.words import WordStates, cluster_purity, word_states
from rnn_tasks.cores import LSTM
from rnn_tasks.networks import LanguageNetwork
from rnn_tasks.plots.style import NARROW, WIDE
from rnn_tasks.plots.words import LEAST_COUNT, draw_positions, draw_tree
from rnn_tasks.report import words as module
from rnn_tasks.report.words import (
    MAX_CHARACTERS,
    METRICS,
    PLACES,
    first_rows,
    generated_share,
    lexicon_of,
    lexicon_table,
    most_frequent,
    purity_table,
    words_of,
)
from rnn_tasks.spec.vocabulary import SPACE
from rnn_tasks.tasks import Copy, ElmanGrammar, TimeMachine
from rnn_tasks.texts.grammar import ELMAN
from tests.helpers.report_runs import make_run, small_network

GRAMMAR = ElmanGrammar(test_characters=20_000, baseline_characters=20_000)


@pytest.fixture(scope="module")
def grammar() -> Any:
    torch.manual_seed(0)
    return make_run(GRAMMAR, network=small_network(GRAMMAR, 12), untrained=small_network(GRAMMAR, 12))


def test_first_rows_are_the_beginning_of_the_test_text() -> None:
    text = first_rows(GRAMMAR, MAX_CHARACTERS)
    assert text.inputs.flatten().tolist() == GRAMMAR.symbols("test")[: text.inputs.numel()].tolist()
    assert 700 < first_rows(GRAMMAR, 1000).inputs.numel() <= 1000


def test_words_of_equals_the_analysis_functions(grammar: Any) -> None:
    found = words_of(grammar)
    assert found is not None
    text = first_rows(GRAMMAR, MAX_CHARACTERS)
    for read, model in ((found.trained, grammar.network), (found.untrained, grammar.untrained)):
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
    assert table.rows[1][:3] == [
        "after the last letter, cosine distance",
        f"{purity.purity:.3f}",
        f"{purity.p_value:.3f}",
    ]
    assert len(purity_table([("A: one", found), ("B: two", found)]).rows) == 8  # type: ignore[union-attr]


def test_most_frequent_keeps_alphabetical_order() -> None:
    states = np.arange(3.0)[:, None]
    kept = most_frequent(WordStates(("a", "b", "c"), states, np.array([5, 1, 9])), count=2)
    assert (kept.words, kept.states.ravel().tolist(), kept.counts.tolist()) == (("a", "c"), [0.0, 2.0], [5, 9])


def test_words_of_a_book_have_no_purity() -> None:
    task = TimeMachine()
    task.prepare_data()
    run = make_run(task)
    found = words_of(run)
    assert found is not None
    assert found.trained.purity is None
    assert purity_table([("one", found)]) is None
    assert len(found.trained.tree.words) == module.MAX_WORDS
    assert lexicon_of(task) == frozenset(task.text("train").split())
    assert words_of(make_run(Copy(test_sequences=20))) is None


def test_lexicon_of_the_grammar_is_its_vocabulary() -> None:
    assert lexicon_of(GRAMMAR) == ELMAN.lexicon


def test_lexicon_table_shows_the_shares_of_generated_words(grammar: Any) -> None:
    core: Any = partial(LSTM, hidden_size=5)
    model = LanguageNetwork(core, GRAMMAR.spec).eval()

    def write(prefix: str, length: int, temperature: float, seed: int) -> str:
        return prefix + (" the boy see a cat" if temperature < 1 else " thx boy sxx a cxt")

    model.generate = write  # type: ignore[method-assign,assignment]
    run = make_run(GRAMMAR, network=model, untrained=grammar.untrained)
    table, numbers = lexicon_table([run, make_run(Copy(test_sequences=20))])
    assert table is not None
    shares = numbers[run.label]["temperature"]
    assert shares["0.5"] == 1.0  # the last word, cat, may be cut
    assert shares["1.0"] == pytest.approx(3 / 5)  # boy thx boy sxx a
    assert table.rows[0][1:4] == ["100.0%", "100.0%", "60.0%"]
    assert lexicon_table([make_run(Copy(test_sequences=20))])[0] is None
    model.generate = lambda *_, **__: "two words"  # type: ignore[method-assign]
    assert math.isnan(generated_share(model, "", 1.0, frozenset()))


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_pictures_have_all_lines_and_labels(grammar: Any, width: float) -> None:
    found = words_of(grammar)
    assert found is not None
    (tree,) = draw_tree(found.trained.tree, width).axes
    names = [label.get_text() for label in tree.get_yticklabels()]
    assert len(names) == len(found.trained.tree.words)
    assert "boy (human)" in names
    baseline = GRAMMAR.baseline_on("test").accuracy
    figure = draw_positions([("one", found.accuracy)], found.untrained_accuracy, [baseline], width)
    (ax,) = figure.axes
    lines = {str(line.get_label()): np.asarray(line.get_ydata()) for line in ax.lines}
    letters = found.accuracy.letters
    assert lines["trained"].tolist() == letters.share[letters.counts >= LEAST_COUNT].tolist()
    assert lines["n-gram, all characters"][0] == baseline
    assert ax.get_xticklabels()[-1].get_text() == SPACE
