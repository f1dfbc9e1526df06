import re
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from lightning.pytorch import Trainer

from rnn_tasks.errors import UsageError
from rnn_tasks.spec import Batch
from rnn_tasks.tasks import ElmanGrammar
from rnn_tasks.texts.grammar import ELMAN

SMALL = {"batch_size": 3, "sequence_length": 20, "epoch_length": 5, "val_characters": 400, "test_characters": 500,
         "baseline_characters": 20_000}  # fmt: skip
CORPUS = {"num_sentences": 600, "seed": 42, "batch_size": 1, "sequence_length": 25, "eval_batch_size": 1}


def endless(**arguments: Any) -> ElmanGrammar:
    return ElmanGrammar(**{**SMALL, **arguments})


def with_an_end(**arguments: Any) -> ElmanGrammar:
    return ElmanGrammar(**{**CORPUS, "random_offset": False, **arguments})


def on_rank(task: ElmanGrammar, rank: int, world_size: int, trained_batches: int = 0) -> ElmanGrammar:
    """The task as a trainer's process of this rank has it."""
    progress = SimpleNamespace(total=SimpleNamespace(ready=trained_batches))
    fit_loop = SimpleNamespace(epoch_loop=SimpleNamespace(batch_progress=progress))
    task.trainer = cast(Trainer, SimpleNamespace(global_rank=rank, world_size=world_size, fit_loop=fit_loop))
    return task


def epoch(task: ElmanGrammar, number: int = 0) -> list[Batch]:
    size = task.epoch_batches
    return [task.train_batch(number * size + index) for index in range(size)]


def read(task: ElmanGrammar, batches: list[Batch]) -> list[str]:
    """What each row reads in batches that continue one another, with its last target."""
    rows = torch.cat([*(batch.inputs for batch in batches), batches[-1].targets[:, -1:]], dim=1)
    return [task.vocabulary.decode(row) for row in rows.tolist()]


def sentences(text: str) -> list[str]:
    """The sentences of a text, each as short as it can be; words that make none are left."""
    known, found, sentence = set(ELMAN.sentences), [], ""
    for word in text.split():
        sentence = f"{sentence} {word}".strip()
        if sentence in known:
            found.append(sentence)
            sentence = ""
    return [*found, sentence] if sentence else found


def test_symbols_are_the_letters_of_the_words_and_the_space() -> None:
    task = endless()
    assert task.name == "elman_grammar"
    assert task.vocabulary.characters == "".join(sorted({" ", *"".join(ELMAN.lexicon)}))
    assert task.spec.input_size == task.spec.output_size == len(task.vocabulary.characters) + 1
    assert task.vocabulary.unknown(task.vocabulary.prefix) == ""


def test_rows_of_an_endless_stream_go_on_from_batch_to_batch_through_one_text() -> None:
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
        # One text of sentences, which ends anywhere.
        text = "".join([rows[0], *(row[1:] for row in rows[1:])])
        assert len(text) == 3 * 20 * 5 + 1
        assert text.startswith(" ")
        *whole, rest = sentences(text)
        assert len(whole) > 5
        assert any(sentence.startswith(rest) for sentence in ELMAN.sentences)


def test_epochs_and_seeds_have_other_sentences() -> None:
    texts = [
        read(task, epoch(task, number))[0]
        for task in map(lambda seed: endless(seed=seed), range(3))
        for number in range(4)
    ]
    assert len({text[:60] for text in texts}) == 12


def test_an_epoch_is_a_function_of_seed_and_number() -> None:
    again = endless(seed=3)
    epoch(again, 5)
    for index in (0, 7, 11):
        assert torch.equal(endless(seed=3).train_batch(index).inputs, again.train_batch(index).inputs)
    assert torch.equal(endless(seed=None).train_batch(1).inputs, endless(seed=0).train_batch(1).inputs)


def test_training_goes_on_in_the_middle_of_the_epoch_it_was_stopped_in() -> None:
    task = on_rank(endless(), 0, 1, trained_batches=7)
    rest = list(task.train_dataloader())
    assert len(rest) == 3
    assert all(torch.equal(batch.inputs, endless().train_batch(7 + index).inputs) for index, batch in enumerate(rest))


def test_batches_can_be_read_without_a_state() -> None:
    reset = epoch(endless(sampling="sequential_reset"))
    assert not any(batch.continues for batch in reset)
    assert all(torch.equal(one.inputs, other.inputs) for one, other in zip(reset, epoch(endless()), strict=True))


def test_two_processes_share_the_rows_of_one_stream() -> None:
    halves = [epoch(on_rank(endless(batch_size=2), rank, 2), 1) for rank in (0, 1)]
    alone = endless(batch_size=4)
    for first, second, both in zip(*halves, epoch(alone, 1), strict=True):
        assert torch.equal(torch.cat([first.inputs, second.inputs]), both.inputs)
        assert torch.equal(torch.cat([first.targets, second.targets]), both.targets)
        assert first.continues == second.continues == both.continues
    rows = [row for half in halves for row in read(alone, half)]
    assert len(set(rows)) == 4


@pytest.mark.parametrize("make", [endless, with_an_end])
def test_evaluation_texts_are_fresh_sentences_and_stay_the_same(make: Any) -> None:
    task = make(eval_batch_size=1, test_characters=500)
    loaders = {"val": task.val_dataloader, "test": task.test_dataloader}
    first = {split: read(task, list(loader())) for split, loader in loaders.items()}
    seen = " ".join(row for number in range(3) for row in read(task, epoch(task, number)))
    assert {split: read(task, list(loader())) for split, loader in loaders.items()} == first
    again = make(eval_batch_size=1, test_characters=500)
    again.train_batch(3)
    assert read(again, list(again.test_dataloader())) == first["test"]
    assert read(again, list(again.val_dataloader())) == first["val"]
    # No stretch of three sentences or more is in two of them.
    val, test = first["val"][0], first["test"][0]
    assert len(test) == 500
    for text, others in ((val, seen + test), (test, seen + val)):
        assert not any(text[start : start + 100] in others for start in range(len(text) - 100))


@pytest.mark.parametrize("make", [endless, with_an_end])
def test_another_seed_has_other_evaluation_texts(make: Any) -> None:
    for split in ("val", "test"):
        assert make(seed=1).text(split) != make(seed=2).text(split)


@pytest.mark.parametrize("make", [endless, with_an_end])
@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_all_words_of_all_texts_are_in_the_lexicon(make: Any, split: str) -> None:
    text = make().text(split)
    assert set(text.split()[1:-1]) <= ELMAN.lexicon
    assert "  " not in text
    assert torch.equal(make().symbols(split), make().vocabulary.encode(text))


def test_sizes_of_the_evaluation_texts() -> None:
    task = endless(val_characters=123, test_characters=77)
    assert (len(task.text("val")), len(task.text("test"))) == (123, 77)


def test_a_text_with_an_end_has_its_sentences_and_its_last_tenth_is_for_validation() -> None:
    task = with_an_end()
    train, val = task.text("train"), task.text("val")
    corpus = train + val
    assert corpus == ELMAN.corpus(600, 42)
    found = sentences(corpus)
    assert len(found) == 600
    assert set(found) <= set(ELMAN.sentences)
    assert len(train) == len(corpus) * 9 // 10


def test_the_share_of_the_validation_can_be_chosen() -> None:
    task = with_an_end(val_share=0.25)
    assert len(task.text("val")) == pytest.approx(0.25 * len(ELMAN.corpus(600, 42)), abs=1)


def test_a_text_with_an_end_is_read_in_order_again_and_again() -> None:
    task = with_an_end()
    text = task.text("train")
    batches = (len(text) - 1) // 25
    assert task.epoch_batches == len(task.train_dataloader()) == batches
    for index in (0, 1, 2, batches - 1, batches, batches + 1, 5 * batches + 7):
        batch, start = task.train_batch(index), index % batches * 25
        assert task.vocabulary.decode(batch.inputs[0].tolist()) == text[start : start + 25]
        assert task.vocabulary.decode(batch.targets[0].tolist()) == text[start + 1 : start + 26]
        assert batch.inputs.shape == (1, 25)
        assert batch.continues == (start > 0)


def test_the_offsets_of_a_text_with_an_end_differ_and_an_endless_stream_has_none() -> None:
    task = with_an_end(random_offset=True)
    begins = [task.vocabulary.decode(epoch(task, number)[0].inputs[0].tolist()) for number in range(6)]
    assert len(set(begins)) > 3
    assert all(task.text("train").index(begin) <= 25 for begin in begins)
    for task in (endless(random_offset=True), endless(random_offset=False)):
        assert all(read(task, epoch(task, number))[0].startswith(" ") for number in range(6))


@pytest.mark.parametrize("sampling", ["random", "windows"])
def test_a_text_with_an_end_can_be_read_in_any_order(sampling: Any) -> None:
    task = with_an_end(sampling=sampling)
    batch = task.train_batch(0)
    assert not batch.continues
    assert read(task, [batch])[0] in task.text("train")
    assert not torch.equal(batch.inputs, task.train_batch(task.epoch_batches).inputs)


@pytest.mark.parametrize("make", [endless, with_an_end])
def test_the_floor_is_the_entropy_rate_of_the_grammar(make: Any) -> None:
    task = make(test_characters=200_000)
    # The exact loss of whoever knows the grammar; the mean over so many characters is within 1 % of the rate.
    known = -ELMAN.log_probabilities(task.text("test")).mean()
    assert task.floor == task.baseline.floor == task.baseline_on("val").floor
    assert task.floor == pytest.approx(known, rel=0.01)


@pytest.mark.parametrize("make", [endless, with_an_end])
@pytest.mark.parametrize("split", ["val", "test"])
def test_the_n_gram_is_above_the_floor_and_below_single_letters(make: Any, split: str) -> None:
    task = make(val_characters=5000, test_characters=5000)
    baseline = task.baseline_on(split)
    counts = torch.bincount(task.symbols(split)).double()
    shares = counts[counts > 0] / counts.sum()
    entropy = -(shares * shares.log()).sum().item()
    assert int(baseline.name.removesuffix("-gram")) > 1
    assert task.floor < baseline.loss < baseline.learning_loss < entropy
    assert baseline.learning_loss == pytest.approx(0.95 * entropy, rel=0.02)


def test_the_n_gram_of_an_endless_stream_is_counted_on_its_training_sentences() -> None:
    task = endless()
    counted = task.vocabulary.decode(task.baseline_symbols.tolist())
    assert len(counted) == 20_000
    assert counted.startswith(read(task, [task.train_batch(0)])[0])
    for split in ("val", "test"):
        assert task.text(split)[:100] not in counted


def test_the_n_gram_of_a_text_with_an_end_is_counted_on_its_training_part() -> None:
    task = with_an_end()
    assert task.vocabulary.decode(task.baseline_symbols.tolist()) == task.text("train")


def test_a_text_that_is_too_short_for_a_batch_is_refused() -> None:
    with pytest.raises(UsageError, match=r"the training text has \d+ characters, too few for a batch of 64 sequences"):
        ElmanGrammar(num_sentences=20).train_dataloader()


def test_a_validation_part_without_anything_to_predict_is_refused() -> None:
    with pytest.raises(UsageError, match="the val text has 1 characters, too few to predict one"):
        with_an_end(num_sentences=1, val_share=0.01).val_dataloader()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_sentences": 0}, "num_sentences must be at least 1, got 0"),
        ({"val_share": 0.0}, "val_share must be above 0 and below 1, got 0.0"),
        ({"val_share": 1.0}, "val_share must be above 0 and below 1, got 1.0"),
        ({"epoch_length": 0}, "epoch_length must be at least 1, got 0"),
        ({"val_characters": 1}, "val_characters must be at least 2, got 1"),
        ({"test_characters": 1}, "test_characters must be at least 2, got 1"),
        ({"sampling": "random"}, "an endless stream is read in order: sampling random needs num_sentences"),
        ({"sampling": "windows"}, "an endless stream is read in order: sampling windows needs num_sentences"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
    ],
)
def test_a_value_outside_its_bounds_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        ElmanGrammar(**arguments)
