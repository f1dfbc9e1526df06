import re
from itertools import pairwise
from typing import Any

import pytest
import torch

from rnn_tasks.errors import UsageError
from rnn_tasks.spec import Batch
from rnn_tasks.tasks import ElmanGrammar
from rnn_tasks.texts.grammar import ELMAN
from tests.helpers.trainers import trainer_of_rank

SMALL = {"batch_size": 3, "sequence_length": 20, "epoch_length": 5, "val_characters": 400, "test_characters": 500,
         "baseline_characters": 20_000}  # fmt: skip
CORPUS = {"num_sentences": 600, "seed": 42, "batch_size": 1, "sequence_length": 25, "eval_batch_size": 1}


def endless(**arguments: Any) -> ElmanGrammar:
    return ElmanGrammar(**{**SMALL, **arguments})


def finite(**arguments: Any) -> ElmanGrammar:
    return ElmanGrammar(**{**CORPUS, "random_offset": False, **arguments})


def on_rank(task: ElmanGrammar, rank: int, world_size: int, trained_batches: int = 0) -> ElmanGrammar:
    """Attach a trainer of this rank to the task."""
    task.trainer = trainer_of_rank(rank, world_size, trained_batches)
    return task


def epoch(task: ElmanGrammar, number: int = 0) -> list[Batch]:
    size = task.epoch_batches
    return [task.train_batch(number * size + index) for index in range(size)]


def read(task: ElmanGrammar, batches: list[Batch]) -> list[str]:
    """Return the text of each row over batches that continue one another, and its last target."""
    rows = torch.cat([*(batch.inputs for batch in batches), batches[-1].targets[:, -1:]], dim=1)
    return [task.vocabulary.decode(row) for row in rows.tolist()]


def sentences(text: str) -> list[str]:
    """Split a text into sentences; words at the end that form no sentence are the last item."""
    valid, complete, sentence = set(ELMAN.sentences), [], ""
    for word in text.split():
        sentence = f"{sentence} {word}".strip()
        if sentence in valid:
            complete.append(sentence)
            sentence = ""
    return [*complete, sentence] if sentence else complete


def test_vocabulary_is_the_letters_of_the_words_and_the_space() -> None:
    task = endless()
    assert task.name == "elman_grammar"
    assert task.vocabulary.characters == "".join(sorted({" ", *"".join(ELMAN.lexicon)}))
    assert task.spec.input_size == task.spec.output_size == len(task.vocabulary.characters) + 1
    assert task.vocabulary.unknown(task.vocabulary.prefix) == ""


def test_endless_rows_continue_and_form_one_text() -> None:
    task = endless()
    for number in range(3):
        batches = epoch(task, number)
        assert len(batches) == len(task.train_dataloader()) == 5
        assert [batch.inputs.shape for batch in batches] == [(3, 20)] * 5
        assert [batch.continues for batch in batches] == [False] + [True] * 4
        for batch in batches:
            assert torch.equal(batch.inputs[:, 1:], batch.targets[:, :-1])
        assert all(torch.equal(after.inputs[:, 0], before.targets[:, -1]) for before, after in pairwise(batches))
        rows = read(task, batches)
        assert all(row[-1] == following[0] for row, following in pairwise(rows))
        # The rows form one text of sentences, of which the last may be incomplete.
        text = "".join([rows[0], *(row[1:] for row in rows[1:])])
        assert len(text) == 3 * 20 * 5 + 1
        assert text.startswith(" ")
        *whole, rest = sentences(text)
        assert len(whole) > 5
        assert any(sentence.startswith(rest) for sentence in ELMAN.sentences)


def test_epochs_and_seeds_have_different_sentences() -> None:
    texts = [
        read(task, epoch(task, number))[0]
        for task in map(lambda seed: endless(seed=seed), range(3))
        for number in range(4)
    ]
    assert len({text[:60] for text in texts}) == 12


def test_batch_depends_only_on_seed_and_index() -> None:
    again = endless(seed=3)
    epoch(again, 5)
    for index in (0, 7, 11):
        assert torch.equal(endless(seed=3).train_batch(index).inputs, again.train_batch(index).inputs)
    assert torch.equal(endless(seed=None).train_batch(1).inputs, endless(seed=0).train_batch(1).inputs)


def test_training_resumes_in_the_middle_of_an_epoch() -> None:
    task = on_rank(endless(), 0, 1, trained_batches=7)
    rest = list(task.train_dataloader())
    assert len(rest) == 3
    assert all(torch.equal(batch.inputs, endless().train_batch(7 + index).inputs) for index, batch in enumerate(rest))


def test_sequential_reset_does_not_continue_batches() -> None:
    reset = epoch(endless(sampling="sequential_reset"))
    assert not any(batch.continues for batch in reset)
    assert all(torch.equal(one.inputs, other.inputs) for one, other in zip(reset, epoch(endless()), strict=True))


def test_two_processes_split_the_rows_of_one_stream() -> None:
    halves = [epoch(on_rank(endless(batch_size=2), rank, 2), 1) for rank in (0, 1)]
    alone = endless(batch_size=4)
    for first, second, both in zip(*halves, epoch(alone, 1), strict=True):
        assert torch.equal(torch.cat([first.inputs, second.inputs]), both.inputs)
        assert torch.equal(torch.cat([first.targets, second.targets]), both.targets)
        assert first.continues == second.continues == both.continues
    rows = [row for half in halves for row in read(alone, half)]
    assert len(set(rows)) == 4


@pytest.mark.parametrize("make", [endless, finite])
def test_evaluation_texts_are_fixed_and_differ_from_training(make: Any) -> None:
    task = make(eval_batch_size=1, test_characters=500)
    loaders = {"val": task.val_dataloader, "test": task.test_dataloader}
    first = {split: read(task, list(loader())) for split, loader in loaders.items()}
    seen = " ".join(row for number in range(3) for row in read(task, epoch(task, number)))
    assert {split: read(task, list(loader())) for split, loader in loaders.items()} == first
    again = make(eval_batch_size=1, test_characters=500)
    again.train_batch(3)
    assert read(again, list(again.predict_dataloader())) == first["test"]
    assert read(again, list(again.val_dataloader())) == first["val"]
    # No 100 characters (three sentences or more) occur in two of the texts.
    val, test = first["val"][0], first["test"][0]
    assert len(test) == 500
    for text, others in ((val, seen + test), (test, seen + val)):
        assert not any(text[start : start + 100] in others for start in range(len(text) - 100))


@pytest.mark.parametrize("make", [endless, finite])
def test_seed_changes_the_evaluation_texts(make: Any) -> None:
    for split in ("val", "test"):
        assert make(seed=1).text(split) != make(seed=2).text(split)


@pytest.mark.parametrize("make", [endless, finite])
@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_all_words_are_in_the_lexicon(make: Any, split: str) -> None:
    text = make().text(split)
    assert set(text.split()[1:-1]) <= ELMAN.lexicon
    assert "  " not in text
    assert torch.equal(make().symbols(split), make().vocabulary.encode(text))


def test_val_characters_and_test_characters_set_the_sizes() -> None:
    task = endless(val_characters=123, test_characters=77)
    assert (len(task.text("val")), len(task.text("test"))) == (123, 77)


def test_finite_text_is_split_into_training_and_validation() -> None:
    task = finite()
    train, val = task.text("train"), task.text("val")
    corpus = train + val
    assert corpus == ELMAN.corpus(600, 42)
    complete = sentences(corpus)
    assert len(complete) == 600
    assert set(complete) <= set(ELMAN.sentences)
    assert len(train) == len(corpus) * 9 // 10


def test_val_share_sets_the_validation_size() -> None:
    task = finite(val_share=0.25)
    assert len(task.text("val")) == pytest.approx(0.25 * len(ELMAN.corpus(600, 42)), abs=1)


def test_finite_text_is_read_in_order_in_every_epoch() -> None:
    task = finite()
    text = task.text("train")
    batches = (len(text) - 1) // 25
    assert task.epoch_batches == len(task.train_dataloader()) == batches
    for index in (0, 1, 2, batches - 1, batches, batches + 1, 5 * batches + 7):
        batch, start = task.train_batch(index), index % batches * 25
        assert task.vocabulary.decode(batch.inputs[0].tolist()) == text[start : start + 25]
        assert task.vocabulary.decode(batch.targets[0].tolist()) == text[start + 1 : start + 26]
        assert batch.inputs.shape == (1, 25)
        assert batch.continues == (start > 0)


def test_random_offset_applies_only_to_finite_texts() -> None:
    task = finite(random_offset=True)
    begins = [task.vocabulary.decode(epoch(task, number)[0].inputs[0].tolist()) for number in range(6)]
    assert len(set(begins)) > 3
    assert all(task.text("train").index(begin) <= 25 for begin in begins)
    for task in (endless(random_offset=True), endless(random_offset=False)):
        assert all(read(task, epoch(task, number))[0].startswith(" ") for number in range(6))


@pytest.mark.parametrize("sampling", ["random", "windows"])
def test_finite_text_allows_every_sampling(sampling: Any) -> None:
    task = finite(sampling=sampling)
    batch = task.train_batch(0)
    assert not batch.continues
    assert read(task, [batch])[0] in task.text("train")
    assert not torch.equal(batch.inputs, task.train_batch(task.epoch_batches).inputs)


@pytest.mark.parametrize("make", [endless, finite])
def test_floor_is_the_entropy_rate_of_the_grammar(make: Any) -> None:
    task = make(test_characters=200_000)
    # The mean exact loss over 200,000 characters is within 1 % of the entropy rate.
    exact_loss = -ELMAN.log_probabilities(task.text("test")).mean()
    assert task.floor == task.baseline.floor == task.baseline_on("val").floor
    assert task.floor == pytest.approx(exact_loss, rel=0.01)


@pytest.mark.parametrize("make", [endless, finite])
@pytest.mark.parametrize("split", ["val", "test"])
def test_ngram_loss_is_between_floor_and_unigram_loss(make: Any, split: str) -> None:
    task = make(val_characters=5000, test_characters=5000)
    baseline = task.baseline_on(split)
    counts = torch.bincount(task.symbols(split)).double()
    shares = counts[counts > 0] / counts.sum()
    entropy = -(shares * shares.log()).sum().item()
    assert int(baseline.name.removesuffix("-gram")) > 1
    assert task.floor < baseline.loss < baseline.learning_loss < entropy
    assert baseline.learning_loss == pytest.approx(0.95 * entropy, rel=0.02)


def test_endless_ngram_counts_training_sentences() -> None:
    task = endless()
    counted = task.vocabulary.decode(task.baseline_symbols.tolist())
    assert len(counted) == 20_000
    assert counted.startswith(read(task, [task.train_batch(0)])[0])
    for split in ("val", "test"):
        assert task.text(split)[:100] not in counted


def test_finite_ngram_counts_the_training_text() -> None:
    task = finite()
    assert task.vocabulary.decode(task.baseline_symbols.tolist()) == task.text("train")


def test_text_too_short_for_a_batch_raises() -> None:
    with pytest.raises(UsageError, match=r"the training text has \d+ characters, too few for a batch of 64 sequences"):
        ElmanGrammar(num_sentences=20).train_dataloader()


def test_validation_text_of_one_character_raises() -> None:
    with pytest.raises(UsageError, match="the val text must have at least 2 characters, got 1"):
        finite(num_sentences=1, val_share=0.01).val_dataloader()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_sentences": 0}, "num_sentences must be at least 1, got 0"),
        ({"val_share": 0.0}, "val_share must be above 0 and below 1, got 0.0"),
        ({"val_share": 1.0}, "val_share must be above 0 and below 1, got 1.0"),
        ({"epoch_length": 0}, "epoch_length must be at least 1, got 0"),
        ({"val_characters": 1}, "val_characters must be at least 2, got 1"),
        ({"test_characters": 1}, "test_characters must be at least 2, got 1"),
        (
            {"sampling": "random"},
            "sampling random needs a finite text: set num_sentences, or use sequential or sequential_reset",
        ),
        (
            {"sampling": "windows"},
            "sampling windows needs a finite text: set num_sentences, or use sequential or sequential_reset",
        ),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
    ],
)
def test_value_out_of_bounds_raises(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        ElmanGrammar(**arguments)
