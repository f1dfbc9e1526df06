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


def text_batch(text: str, vocabulary: Vocabulary) -> Batch:
    symbols = vocabulary.encode(text)[None]
    return Batch(symbols[:, :-1], symbols[:, 1:])


def test_word_points_are_mean_states_after_the_last_character() -> None:
    vocabulary = Vocabulary.from_text("ab c")
    text = text_batch(" ab c ab c c  ", vocabulary)
    states = torch.arange(13.0)[None, :, None].expand(1, 13, 2)
    points = word_points(states, text, vocabulary)
    assert points.labels == [("c", "unknown", "3"), ("ab", "unknown", "2")]
    assert points.states.tolist() == [[(4 + 9 + 11) / 3] * 2, [(2 + 7) / 2] * 2]


def test_categories_are_unknown_for_words_outside_the_grammar() -> None:
    words = sorted(ELMAN.lexicon)
    assert categories(words) == [ELMAN.word_categories[word] for word in words]
    assert categories([*words, "traveller"]) == ["unknown"] * (len(words) + 1)


def test_word_points_raise_for_a_text_without_white_space() -> None:
    vocabulary = Vocabulary.from_text("ab")
    with pytest.raises(UsageError, match="no whole word"):
        word_points(torch.zeros(1, 3, 2), text_batch("abab", vocabulary), vocabulary)


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


def test_the_number_of_symbol_points_is_limited() -> None:
    batch = Batch(torch.zeros(2, MAX_POINTS, dtype=torch.long), torch.zeros(2, MAX_POINTS, dtype=torch.long))
    points = symbol_points(torch.zeros(2, MAX_POINTS, 1), batch, ())
    assert len(points.states) == len(points.labels) == MAX_POINTS


def test_long_text_joins_continuing_batches_along_time() -> None:
    task = ElmanGrammar(num_sentences=60, sequence_length=10, batch_size=2, eval_batch_size=2)
    text = task.text("val")
    result = long_text(task.val_dataloader(), 10_000)
    rows = [task.vocabulary.decode(row) for row in result.inputs.tolist()]
    assert "".join(rows)[: len(text) - 1] == text[:-1]
    assert torch.equal(result.targets[:, :-1], result.inputs[:, 1:])
    assert long_text(task.val_dataloader(), 25).inputs.shape == (2, 20)


@pytest.mark.parametrize("sampling", ["sequential_reset", "random", "windows"])
def test_long_text_stacks_batches_that_do_not_continue(sampling: Any) -> None:
    task = ElmanGrammar(num_sentences=60, sequence_length=9, batch_size=2, eval_batch_size=2, sampling=sampling)
    result = long_text(task.val_dataloader(), 10_000)
    assert result.inputs.shape[1] == 9
    assert len(result.inputs) > 2
    assert torch.equal(result.inputs[:2], next(iter(task.val_dataloader())).inputs)


def test_long_text_raises_without_batches() -> None:
    with pytest.raises(UsageError, match="the validation text is empty"):
        long_text([], 3)


def test_add_to_writes_the_files_of_the_projector(tmp_path: Path) -> None:
    writer = RunLogger(str(tmp_path), "run", "version_0").experiment
    vocabulary = Vocabulary.from_text("abé ")
    word_points(torch.rand(1, 9, 3), text_batch(" ab é ab  ", vocabulary), vocabulary).add_to(writer, 12)
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
