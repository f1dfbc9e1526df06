from pathlib import Path
from typing import Any

import pytest
import torch

from rnn_tasks.callbacks._projector import (
    MAX_POINTS,
    categories,
    long_text,
    symbol_points,
    word_points,
)
from rnn_tasks.errors import UsageError
from rnn_tasks.runs.logger import RunLogger
from rnn_tasks.spec import Batch
from rnn_tasks.spec.vocabulary import Vocabulary
from rnn_tasks.tasks import ElmanGrammar
from rnn_tasks.texts.grammar import ELMAN


def as_text(text: str, vocabulary: Vocabulary) -> Batch:
    symbols = vocabulary.encode(text)[None]
    return Batch(symbols[:, :-1], symbols[:, 1:])


def test_word_state_is_the_mean_after_its_last_character() -> None:
    vocabulary = Vocabulary.from_text("ab c")
    text = as_text(" ab c ab c c  ", vocabulary)
    states = torch.arange(13.0)[None, :, None].expand(1, 13, 2)
    points = word_points(states, text, vocabulary)
    assert points.labels == [("c", "unknown", "3"), ("ab", "unknown", "2")]
    assert points.states.tolist() == [[(4 + 9 + 11) / 3] * 2, [(2 + 7) / 2] * 2]


def test_only_words_of_the_grammar_have_categories() -> None:
    words = sorted(ELMAN.lexicon)
    assert categories(words) == [ELMAN.word_categories[word] for word in words]
    assert categories([*words, "traveller"]) == ["unknown"] * (len(words) + 1)


def test_a_text_without_white_space_has_no_words() -> None:
    vocabulary = Vocabulary.from_text("ab")
    with pytest.raises(UsageError, match="no whole word"):
        word_points(torch.zeros(1, 3, 2), as_text("abab", vocabulary), vocabulary)


def test_symbol_points_are_labelled_with_input_and_target() -> None:
    batch = Batch(torch.tensor([[1, 2], [0, 1]]), torch.tensor([[-100, 1], [2, -100]]))
    states = torch.arange(8.0).view(2, 2, 2)
    points = symbol_points(states, batch, (" ", "a", "\t"))
    assert points.labels == [
        ("a", "-", "0", "0"),
        ("⇥", "a", "1", "0"),
        ("␣", "⇥", "0", "1"),
        ("a", "-", "1", "1"),
    ]
    assert points.states.tolist() == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert [row[0] for row in symbol_points(states, batch, ()).labels] == ["1", "2", "0", "1"]


def test_a_long_sequence_is_not_shown_to_its_end() -> None:
    batch = Batch(torch.zeros(2, MAX_POINTS, dtype=torch.long), torch.zeros(2, MAX_POINTS, dtype=torch.long))
    points = symbol_points(torch.zeros(2, MAX_POINTS, 1), batch, ())
    assert len(points.states) == len(points.labels) == MAX_POINTS


def test_a_text_is_put_together_as_it_is_read() -> None:
    task = ElmanGrammar(num_sentences=60, sequence_length=10, batch_size=2, eval_batch_size=2)
    text = task.text("val")
    found = long_text(task.val_dataloader(), 10_000)
    rows = [task.vocabulary.decode(row) for row in found.inputs.tolist()]
    assert "".join(rows)[: len(text) - 1] == text[:-1]
    assert torch.equal(found.targets[:, :-1], found.inputs[:, 1:])
    assert long_text(task.val_dataloader(), 25).inputs.shape == (2, 20)


@pytest.mark.parametrize("sampling", ["sequential_reset", "random", "windows"])
def test_pieces_of_a_text_stand_below_one_another(sampling: Any) -> None:
    task = ElmanGrammar(num_sentences=60, sequence_length=9, batch_size=2, eval_batch_size=2, sampling=sampling)
    found = long_text(task.val_dataloader(), 10_000)
    assert found.inputs.shape[1] == 9
    assert len(found.inputs) > 2
    assert torch.equal(found.inputs[:2], next(iter(task.val_dataloader())).inputs)


def test_no_text_is_one_line() -> None:
    with pytest.raises(UsageError, match="no validation text"):
        long_text([], 3)


def test_the_projector_finds_states_and_labels(tmp_path: Path) -> None:
    board = RunLogger(str(tmp_path), "run", "version_0").experiment
    vocabulary = Vocabulary.from_text("abé ")
    word_points(torch.rand(1, 9, 3), as_text(" ab é ab  ", vocabulary), vocabulary).add_to(board, 12)
    run = tmp_path / "run/version_0"
    config = (run / "projector_config.pbtxt").read_text()
    states, labels = (run / f"00012/states_after_words/{name}.tsv" for name in ("tensors", "metadata"))
    for path in (states, labels):
        assert path.relative_to(run).as_posix() in config
    assert labels.read_text(encoding="utf-8").splitlines() == [
        "word\tcategory\tcount",
        "ab\tunknown\t2",
        "é\tunknown\t1",
    ]
    assert [len(line.split("\t")) for line in states.read_text().splitlines()] == [3, 3]
