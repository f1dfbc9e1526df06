import math
import random
from collections import Counter, defaultdict
from itertools import pairwise
from typing import Any, cast

import pytest
import torch

from rnn_tasks.errors import UsageError
from rnn_tasks.spec import NOT_SCORED, Batch, TaskSpec
from rnn_tasks.spec.vocabulary import Vocabulary
from rnn_tasks.tasks import LanguageTask
from rnn_tasks.tasks.language_task import SAMPLINGS, Sampling, cut, encoded
from tests.helpers.trainers import trainer_of_rank

# Characters, rows and steps: with and without remainder, with rows of minimal length, with one row, with one step.
SHAPES = [(25, 2, 4), (26, 2, 4), (57, 3, 5), (200, 4, 7), (31, 1, 10), (40, 30, 1), (9, 1, 1), (12, 5, 1)]


class StringTask(LanguageTask):
    """A task whose texts are arguments."""

    def __init__(
        self,
        train: str = "",
        val: str = "",
        test: str = "",
        sampling: Sampling = "sequential",
        batch_size: int = 2,
        sequence_length: int = 4,
        random_offset: bool = False,
        eval_batch_size: int = 2,
        seed: int | None = None,
    ) -> None:
        super().__init__(sampling, batch_size, sequence_length, random_offset, eval_batch_size, seed)
        self.texts = {"train": train, "val": val, "test": test}

    @property
    def vocabulary(self) -> Vocabulary:
        return Vocabulary("".join(dict.fromkeys("".join(self.texts.values()))))

    def text(self, split: str) -> str:
        return self.texts[split]


def distinct_text(size: int) -> str:
    """Return a text of distinct characters: position ``i`` has symbol ``i + 1``."""
    return "".join(chr(0x4E00 + position) for position in range(size))


def markov_text(size: int, seed: int) -> str:
    """Return a random text in which the distribution of each character depends on the previous one."""
    draw = random.Random(seed)
    text = "a"
    while len(text) < size:
        text += draw.choice({"a": "bbbbc ", "b": "aaca", "c": "  ab", " ": "abbb"}[text[-1]])
    return text


def on_rank(task: LanguageTask, rank: int = 0, world_size: int = 1, trained_batches: int = 0) -> LanguageTask:
    """Attach a trainer of this rank to the task."""
    task.trainer = trainer_of_rank(rank, world_size, trained_batches)
    return task


def epoch(task: LanguageTask, number: int = 0) -> list[Batch]:
    size = task.epoch_batches
    return [task.train_batch(number * size + index) for index in range(size)]


def evaluation(task: LanguageTask, split: str) -> list[Batch]:
    return list(task.val_dataloader() if split == "val" else task.predict_dataloader())


def rows(batches: list[Batch]) -> list[tuple[list[list[int]], list[list[int]]]]:
    """Return inputs and targets as positions in a text of distinct characters."""
    return [((batch.inputs - 1).tolist(), (batch.targets - 1).tolist()) for batch in batches]


def starts(batches: list[Batch]) -> list[int]:
    """Return the start of each sequence in a text of distinct characters; check that all are pieces of the text."""
    positions = []
    for inputs, targets in rows(batches):
        for read, expected in zip(inputs, targets, strict=True):
            assert read == list(range(read[0], read[0] + len(read)))
            assert expected == [position + 1 for position in read]
            positions.append(read[0])
    return positions


def same(left: list[Batch], right: list[Batch]) -> bool:
    return len(left) == len(right) and all(
        torch.equal(one.inputs, other.inputs)
        and torch.equal(one.targets, other.targets)
        and one.continues == other.continues
        for one, other in zip(left, right, strict=True)
    )


def concatenated(parts: list[list[Batch]]) -> list[Batch]:
    """Concatenate the rows of the batches of several processes."""
    return [
        Batch(
            torch.cat([batch.inputs for batch in shares]),
            torch.cat([batch.targets for batch in shares]),
            continues=all(batch.continues for batch in shares),
        )
        for shares in zip(*parts, strict=True)
    ]


def d2l_sequential(size: int, offset: int, num_rows: int, steps: int) -> list[list[tuple[int, int]]]:
    """Return the first and last input positions in each batch of D2L's ``seq_data_iter_sequential``."""
    num_tokens = (size - offset - 1) // num_rows * num_rows
    text = list(range(offset, offset + num_tokens))
    width = num_tokens // num_rows
    table = [text[row * width : (row + 1) * width] for row in range(num_rows)]
    return [[(row[batch * steps], row[batch * steps + steps - 1]) for row in table] for batch in range(width // steps)]


def d2l_random(size: int, skipped: int, num_rows: int, steps: int) -> tuple[set[int], int]:
    """Return the starts of the pieces of D2L's ``seq_data_iter_random``, and its number of batches."""
    rest = list(range(size))[skipped:]
    pieces = (len(rest) - 1) // steps
    return {rest[piece * steps] for piece in range(pieces)}, pieces // num_rows


class DictNGram:
    """Interpolated n-grams with Witten-Bell smoothing, from dictionaries."""

    def __init__(self, text: list[int], num_symbols: int) -> None:
        self.num_symbols = num_symbols
        self.followers: defaultdict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
        for position, symbol in enumerate(text):
            for size in range(min(position, 5) + 1):
                self.followers[tuple(text[position - size : position])][symbol] += 1

    def probabilities(self, context: tuple[int, ...]) -> list[float]:
        """Return the distribution of the symbol after a context."""
        shorter = self.probabilities(context[1:]) if context else [1 / self.num_symbols] * self.num_symbols
        if context not in self.followers:
            return shorter
        counts = self.followers[context]
        distinct, total = len(counts), counts.total()
        return [(counts[symbol] + distinct * p) / (total + distinct) for symbol, p in enumerate(shorter)]

    def score(self, histories: list[tuple[list[int], int]], order: int) -> tuple[float, float]:
        """Return mean loss and accuracy on pairs of a history and the next symbol."""
        loss, correct = 0.0, 0
        for history, symbol in histories:
            distribution = self.probabilities(tuple(history[max(0, len(history) - order + 1) :]))
            loss -= math.log(distribution[symbol])
            correct += distribution.index(max(distribution)) == symbol
        return loss / len(histories), correct / len(histories)


def plain_best_order(text: list[int], num_symbols: int) -> int:
    """Return the order that, counted on the first 90 % of a text, predicts the rest best."""
    cut_at = round(len(text) * 0.9)
    model = DictNGram(text[:cut_at], num_symbols)
    histories = [(text[:end], text[end]) for end in range(cut_at, len(text))]
    losses = [model.score(histories, order)[0] for order in range(1, 7)]
    return 1 + losses.index(min(losses))


def network_contexts(batches: list[Batch]) -> list[tuple[list[int], int]]:
    """Return each scored symbol with the inputs that the network has read since its last zero state."""
    contexts: list[tuple[list[int], int]] = []
    read: list[list[int]] = []
    for batch in batches:
        if not batch.continues:
            read = [[] for _ in batch.inputs]
        for row, (inputs, targets) in enumerate(zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True)):
            for symbol, target in zip(inputs, targets, strict=True):
                read[row] = [*read[row], symbol]
                if target != NOT_SCORED:
                    contexts.append((read[row], target))
    return contexts


def test_batches_equal_the_diagram() -> None:
    task = StringTask("the time traveller for so")
    picture = str(LanguageTask.__doc__)
    assert "text            the time traveller for so      batch_size 2, sequence_length 4" in picture
    lines = []
    for batch in epoch(task)[:2]:
        for inputs, targets in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
            shown = [task.vocabulary.decode(symbols).replace(" ", "_") for symbols in (inputs, targets)]
            lines.append("inputs   {}   targets   {}".format(*shown))
    assert lines == [
        "inputs   the_   targets   he_t",
        "inputs   vell   targets   elle",
        "inputs   time   targets   ime_",
        "inputs   er_f   targets   r_fo",
    ]
    diagram_lines = [line.strip() for line in picture.splitlines() if "inputs" in line]
    assert [line.removeprefix(f"batch {row // 2}").strip()[:30] for row, line in enumerate(diagram_lines)] == lines


def test_cut_targets_are_the_next_characters() -> None:
    batch = cut(torch.tensor([5, 6, 7, 8, NOT_SCORED]), torch.tensor([0, 2]), 2, continues=True)
    assert batch.inputs.tolist() == [[5, 6], [7, 8]]
    assert batch.targets.tolist() == [[6, 7], [8, NOT_SCORED]]
    assert batch.continues
    assert not cut(torch.arange(9), torch.tensor([3]), 2).continues


def test_cut_inputs_are_0_where_not_scored() -> None:
    assert cut(torch.tensor([5, NOT_SCORED, NOT_SCORED]), torch.tensor([0]), 2).inputs.tolist() == [[5, 0]]


@pytest.mark.parametrize(("size", "num_rows", "steps"), SHAPES)
@pytest.mark.parametrize("sampling", ["sequential", "sequential_reset"])
@pytest.mark.parametrize("random_offset", [True, False])
def test_sequential_batches_equal_those_of_d2l(
    size: int, num_rows: int, steps: int, sampling: Sampling, random_offset: bool
) -> None:
    task = StringTask(
        distinct_text(size), sampling=sampling, batch_size=num_rows, sequence_length=steps, random_offset=random_offset
    )
    offsets = set()
    for number in range(60):
        batches = epoch(task, number)
        offset = starts(batches)[0]
        offsets.add(offset)
        expected = d2l_sequential(size, offset, num_rows, steps)
        # Every epoch has the number of batches of the largest offset; a smaller offset may have room for one more.
        assert len(batches) == len(d2l_sequential(size, steps * random_offset, num_rows, steps))
        assert len(expected) - len(batches) in (0, 1)
        actual = [[(row[0], row[-1]) for row in inputs] for inputs, _ in rows(batches)]
        assert actual == expected[: len(batches)]
    assert offsets == (set(range(steps + 1)) if random_offset else {0})


@pytest.mark.parametrize(("size", "num_rows", "steps"), SHAPES)
@pytest.mark.parametrize("random_offset", [True, False])
def test_random_batches_equal_those_of_d2l(size: int, num_rows: int, steps: int, random_offset: bool) -> None:
    task = StringTask(
        distinct_text(size), sampling="random", batch_size=num_rows, sequence_length=steps, random_offset=random_offset
    )
    skips = set()
    for number in range(60):
        batches = epoch(task, number)
        positions = starts(batches)
        skipped = positions[0] % steps
        skips.add(skipped)
        pieces, _ = d2l_random(size, skipped, num_rows, steps)
        _, fewest = d2l_random(size, (steps - 1) * random_offset, num_rows, steps)
        assert len(batches) == fewest
        assert [batch.inputs.shape for batch in batches] == [(num_rows, steps)] * fewest
        assert len(set(positions)) == len(positions)
        assert set(positions) <= pieces
    assert skips == (set(range(steps)) if random_offset else {0})


@pytest.mark.parametrize(("size", "num_rows", "steps"), SHAPES)
def test_windows_cover_each_position_once_per_epoch(size: int, num_rows: int, steps: int) -> None:
    task = StringTask(
        distinct_text(size), sampling="windows", batch_size=num_rows, sequence_length=steps, random_offset=True
    )
    windows = size - steps  # pieces of steps + 1 characters
    for number in range(3):
        batches = epoch(task, number)
        assert sorted(starts(batches)) == list(range(windows))
        sizes = [len(batch.inputs) for batch in batches]
        assert sizes[:-1] == [num_rows] * (len(sizes) - 1)
        assert sum(sizes) == windows
        assert 0 < sizes[-1] <= num_rows


def test_sequential_rows_continue_the_previous_batch() -> None:
    task = StringTask(distinct_text(203), batch_size=3, sequence_length=8, random_offset=True)
    for number in range(4):
        for before, after in pairwise(epoch(task, number)):
            assert torch.equal(after.inputs[:, 0], before.targets[:, -1])


def test_only_sequential_batches_continue_within_an_epoch() -> None:
    assert {
        sampling: [
            [batch.continues for batch in epoch(StringTask(distinct_text(30), sampling=sampling), number)]
            for number in (0, 1)
        ]
        for sampling in SAMPLINGS
    } == {
        "sequential": [[False, True, True]] * 2,
        "sequential_reset": [[False] * 3] * 2,
        "random": [[False] * 3] * 2,
        "windows": [[False] * 13] * 2,
    }


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_epoch_depends_only_on_seed_and_number(sampling: Sampling) -> None:
    def task(seed: int | None) -> LanguageTask:
        return StringTask(distinct_text(400), sampling=sampling, sequence_length=30, random_offset=True, seed=seed)

    again = task(3)
    epoch(again, 7)
    assert same(epoch(task(3), 2), epoch(again, 2))
    assert same(epoch(task(None), 2), epoch(task(0), 2))
    orders = {tuple(starts(epoch(task(seed), number))) for seed in (0, 1) for number in range(8)}
    # Sequential epochs have 31 possible offsets and may coincide by chance; random orders do not.
    assert len(orders) == 16 if sampling in ("random", "windows") else len(orders) > 8


def test_random_puts_each_piece_first_in_some_epoch() -> None:
    task = StringTask(distinct_text(401), sampling="random", batch_size=4, sequence_length=10)
    first = [starts([task.train_batch(10 * number)])[0] // 10 for number in range(400)]
    assert task.epoch_batches == 10
    # Each of the 40 pieces is first in about 10 of 400 epochs; the probability of being first in none is below 1e-4.
    assert set(first) == set(range(40))


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_global_random_state_is_neither_used_nor_changed(sampling: Sampling) -> None:
    def batches() -> list[Batch]:
        return epoch(StringTask(distinct_text(90), distinct_text(30), sampling=sampling, random_offset=True), 1)

    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = batches()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert same(batches(), first)


@pytest.mark.parametrize(
    ("sampling", "batches"), [("sequential", 8), ("sequential_reset", 8), ("random", 8), ("windows", 312)]
)
def test_epoch_batches_of_10000_characters(sampling: Sampling, batches: int) -> None:
    # 312 characters per row = 8 * 35 + 32; 285 pieces = 8 * 32 + 29; 9,965 windows = 311 * 32 + 13.
    task = StringTask(markov_text(10_000, 0), sampling=sampling, batch_size=32, sequence_length=35, random_offset=True)
    assert len(task.train_dataloader()) == task.epoch_batches == batches


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("trained", [0, 1, 4, 5, 11, 12])
def test_training_resumes_in_the_middle_of_an_epoch(sampling: Sampling, trained: int) -> None:
    def task() -> StringTask:
        size = 54 if sampling != "windows" else 14
        return StringTask(distinct_text(size), sampling=sampling, random_offset=True)

    assert task().epoch_batches == 5 + (sampling != "windows")
    length = task().epoch_batches
    rest = list(on_rank(task(), trained_batches=trained).train_dataloader())
    assert same(rest, epoch(task(), trained // length)[trained % length :])


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_two_processes_equal_one_with_twice_the_batch_size(sampling: Sampling) -> None:
    def task(batch_size: int) -> LanguageTask:
        return StringTask(distinct_text(92), sampling=sampling, batch_size=batch_size, random_offset=True)

    for number in (0, 1):
        halves = [epoch(on_rank(task(3), rank, 2), number) for rank in (0, 1)]
        assert same(concatenated(halves), epoch(task(6), number))
        positions = starts(halves[0] + halves[1])
        assert len(set(positions)) == len(positions)
        if sampling == "sequential":
            for half in halves:
                assert all(torch.equal(b.inputs[:, 0], a.targets[:, -1]) for a, b in pairwise(half))
                assert [batch.continues for batch in half] == [False] + [True] * (len(half) - 1)


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("split", ["val", "test"])
def test_processes_split_the_rows_of_evaluation_batches(sampling: Sampling, split: str) -> None:
    def task() -> LanguageTask:
        return StringTask(distinct_text(60), distinct_text(33), distinct_text(38), sampling=sampling, eval_batch_size=5)

    alone = evaluation(task(), split)
    assert same(concatenated([evaluation(on_rank(task(), rank, 3), split) for rank in range(3)]), alone)


def test_fewer_rows_than_processes_raise() -> None:
    task = on_rank(StringTask(distinct_text(60), distinct_text(33), eval_batch_size=1), 0, 2)
    with pytest.raises(UsageError, match="a batch of 1 sequences cannot be split over 2 processes"):
        evaluation(task, "val")


@pytest.mark.parametrize("sampling", ["sequential", "sequential_reset", "random"])
def test_evaluation_scores_each_character_after_the_first_once(sampling: Sampling) -> None:
    for size in range(2, 14):
        for eval_rows in (1, 2, 3, 4, 5, 12, 13, 20):
            for steps in (1, 2, 3, 5, 20):
                task = StringTask(
                    val=distinct_text(size), sampling=sampling, eval_batch_size=eval_rows, sequence_length=steps
                )
                scored: list[int] = []
                for batch in task.val_dataloader():
                    assert batch.inputs.shape[1] <= steps
                    assert len(batch.inputs) == min(eval_rows, size - 1)
                    scored += (batch.targets[batch.scored] - 1).tolist()
                    # The target of each character is the next one.
                    assert torch.equal(batch.inputs[batch.scored] + 1, batch.targets[batch.scored])
                assert sorted(scored) == list(range(1, size))


@pytest.mark.parametrize("sampling", ["sequential", "sequential_reset", "random"])
def test_evaluation_text_is_divided_into_rows_with_padding(sampling: Sampling) -> None:
    task = StringTask(val=distinct_text(12), sampling=sampling, eval_batch_size=3, sequence_length=3)
    padding = NOT_SCORED - 1
    assert rows(evaluation(task, "val")) == [
        ([[0, 1, 2], [4, 5, 6], [8, 9, 10]], [[1, 2, 3], [5, 6, 7], [9, 10, 11]]),
        ([[3], [7], [11]], [[4], [8], [padding]]),
    ]
    continues = [batch.continues for batch in task.val_dataloader()]
    assert continues == [False, sampling == "sequential"]


def test_rows_without_characters_are_not_scored() -> None:
    task = StringTask(val=distinct_text(6), eval_batch_size=4, sequence_length=9)
    (batch,) = task.val_dataloader()
    assert batch.inputs.tolist() == [[1, 2], [3, 4], [5, 6], [0, 0]]
    assert batch.targets.tolist() == [[2, 3], [4, 5], [6, NOT_SCORED], [NOT_SCORED, NOT_SCORED]]


def test_windows_evaluation_reads_each_window_once_in_order() -> None:
    task = StringTask(val=distinct_text(12), sampling="windows", eval_batch_size=3, sequence_length=4)
    batches = evaluation(task, "val")
    assert starts(batches) == list(range(8))
    assert [batch.inputs.shape for batch in batches] == [(3, 4), (3, 4), (2, 4)]
    assert not any(batch.continues for batch in batches)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_evaluation_is_repeatable_and_predict_uses_the_test(sampling: Sampling) -> None:
    texts = distinct_text(60), distinct_text(33), distinct_text(38)[::-1]
    task = StringTask(*texts, sampling=sampling, random_offset=True)
    first = evaluation(task, "test")
    epoch(task, 3)
    assert same(evaluation(task, "test"), first)
    assert same(evaluation(StringTask(*texts, sampling=sampling, seed=5), "test"), first)
    assert same(list(task.predict_dataloader()), first)
    assert not same(evaluation(task, "val"), first)
    assert len(task.predict_dataloader()) == len(first)


@pytest.mark.parametrize("split", ["val", "test"])
@pytest.mark.parametrize("size", [0, 1])
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_evaluation_text_of_fewer_than_2_characters_raises(sampling: Sampling, split: str, size: int) -> None:
    task = StringTask(distinct_text(60), sampling=sampling)
    task.texts[split] = distinct_text(size)
    message = f"the {split} text must have at least 2 characters, got {size}: use a longer text"
    if sampling == "windows":
        message = f"the {split} text has {size} characters, too few for a window of 4: use a longer text"
    with pytest.raises(UsageError, match=message):
        evaluation(task, split)
    with pytest.raises(UsageError, match=message):
        task.baseline_on(split)


def test_evaluation_text_of_one_window_is_long_enough() -> None:
    assert starts(evaluation(StringTask(val=distinct_text(5), sampling="windows"), "val")) == [0]
    with pytest.raises(UsageError, match="the val text has 4 characters, too few for a window of 4: use a longer text"):
        evaluation(StringTask(val=distinct_text(4), sampling="windows"), "val")


@pytest.mark.parametrize(
    ("sampling", "random_offset", "min_characters"),
    [
        # Two rows of four characters, one last target, and a random offset of at most 4 (sequential) or 3 (random).
        ("sequential", False, 9),
        ("sequential", True, 13),
        ("sequential_reset", True, 13),
        ("random", False, 9),
        ("random", True, 12),
        ("windows", True, 5),
    ],
)
def test_training_text_too_short_for_a_batch_raises(
    sampling: Sampling, random_offset: bool, min_characters: int
) -> None:
    def task(size: int) -> LanguageTask:
        return StringTask(distinct_text(size), sampling=sampling, random_offset=random_offset)

    assert all(len(batches) == 1 for batches in (epoch(task(min_characters), number) for number in range(20)))
    for size in (0, 1, min_characters - 1):
        with pytest.raises(UsageError) as error:
            task(size).train_dataloader()
        message = str(error.value)
        assert message.startswith(f"the training text has {size} characters, too few for a batch of 2 sequences of 4:")
        assert "--data.batch_size" in message
        assert "--data.sequence_length" in message
        assert "\n" not in message


def test_minimum_training_text_grows_with_processes() -> None:
    on_rank(StringTask(distinct_text(17)), 0, 2).train_dataloader()
    with pytest.raises(UsageError, match="16 characters, too few for a batch of 4 sequences"):
        on_rank(StringTask(distinct_text(16)), 0, 2).train_dataloader()


@pytest.mark.parametrize(("short", "name"), [(0, "training"), (1, "val"), (2, "test")])
def test_check_raises_for_a_text_that_is_too_short(short: int, name: str) -> None:
    def task(train: int, val: int, test: int) -> LanguageTask:
        return StringTask(distinct_text(train), distinct_text(val), distinct_text(test), random_offset=True)

    sizes = [13, 2, 2]
    task(*sizes).check()
    sizes[short] -= 1
    with pytest.raises(UsageError, match=f"the {name} text .* {sizes[short]}"):
        task(*sizes).check()


def test_spec_has_equal_input_and_output_sizes() -> None:
    task = StringTask("abba", "abc")
    assert task.spec.input_size == task.spec.output_size == 4
    assert task.spec.vocabulary == Vocabulary("abc")
    assert task.floor is None


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("split", ["val", "test"])
def test_baseline_is_an_ngram_with_the_context_of_the_network(sampling: Sampling, split: str) -> None:
    task = StringTask(
        markov_text(900, 1),
        markov_text(151, 2),
        markov_text(137, 3) + "x!",
        sampling=sampling,
        sequence_length=9,
        eval_batch_size=4,
    )
    size = len(task.vocabulary)
    text = task.vocabulary.encode(task.text("train")).tolist()
    order, model = plain_best_order(text, size), DictNGram(text, size)
    histories = network_contexts(evaluation(task, split))
    loss, accuracy = model.score(histories, order)
    baseline = task.baseline_on(split)
    assert baseline.name == f"{order}-gram"
    assert order > 1
    assert baseline.loss == pytest.approx(loss)
    assert baseline.accuracy == pytest.approx(accuracy)
    single, _ = model.score(histories, 1)
    assert baseline.learning_loss == pytest.approx(0.95 * single)
    assert baseline.loss < 0.95 * single
    assert baseline.floor is None


def test_baseline_is_that_of_the_test() -> None:
    task = StringTask(markov_text(400, 1), markov_text(100, 2), markov_text(100, 3))
    assert task.baseline == task.baseline_on("test") != task.baseline_on("val")


def test_baseline_is_a_unigram_for_independent_characters() -> None:
    dice = "".join(random.Random(0).choices("abcdef", k=2000))
    assert StringTask(dice, dice, dice).baseline.name == "1-gram"


def test_ngram_counts_only_the_training_text() -> None:
    train, val, test, other = markov_text(400, 1), markov_text(100, 2), markov_text(100, 3), "cba" * 40
    baseline = StringTask(train, val, test).baseline
    assert StringTask(train, other, test).baseline == baseline
    task = StringTask(train, val, test)
    task.baseline_on("val")
    assert task.baseline == baseline
    assert StringTask(train, val, other).baseline_on("val") == task.baseline_on("val")
    assert StringTask(other, val, test).baseline != baseline


@pytest.mark.parametrize("stage", ["val", "test"])
def test_solved_requires_a_loss_below_that_of_the_ngram(stage: str) -> None:
    task = StringTask(markov_text(400, 1), markov_text(100, 2), markov_text(100, 3))
    loss = task.baseline_on(stage).loss
    assert task.solved({f"{stage}/loss": loss - 1e-6}, stage)
    assert not task.solved({f"{stage}/loss": loss}, stage)
    assert not task.solved({f"{stage}/loss": loss + 1e-6}, stage)
    assert not task.solved({f"{stage}/loss": math.nan}, stage)
    assert not task.solved({}, stage)


def test_solved_uses_validation_by_default() -> None:
    task = StringTask(markov_text(400, 1), markov_text(100, 2), markov_text(100, 3))
    assert task.solved({"val/loss": 0.1, "test/loss": 9.0})
    assert not task.solved({"val/loss": 9.0, "test/loss": 0.1})


@pytest.mark.parametrize("name", ["batch_size", "sequence_length", "eval_batch_size"])
def test_size_below_1_raises(name: str) -> None:
    sizes: dict[str, Any] = {name: 0}
    with pytest.raises(UsageError, match=f"^{name} must be at least 1, got 0$"):
        StringTask(**sizes)


def test_unknown_sampling_raises() -> None:
    message = "sampling must be one of sequential, sequential_reset, random, windows, got other"
    with pytest.raises(UsageError, match=f"^{message}$"):
        StringTask(sampling=cast(Sampling, "other"))


def test_negative_seed_raises() -> None:
    with pytest.raises(UsageError, match="seed must be at least 0, got -1"):
        StringTask(seed=-1)


def test_symbols_are_the_smallest_signed_integers() -> None:
    for size, dtype in ((3, torch.int8), (127, torch.int8), (128, torch.int16), (32768, torch.int32)):
        text = "".join(map(chr, range(1, size + 1)))
        symbols = encoded(text, Vocabulary(text))
        assert symbols.dtype == dtype
        assert torch.equal(symbols.long(), torch.arange(1, size + 1))
        assert encoded(chr(size + 1), Vocabulary(text)).tolist() == [0]


@pytest.mark.parametrize("chunk", [1, 3, 1000])
def test_encoded_equals_the_vocabulary_in_any_script(chunk: int) -> None:
    text = "Да, نعم 😀👩\u200d👩 e\u0301\n\t\ud7ff\uffff" * 3
    for vocabulary in (Vocabulary.from_text(text), Vocabulary("😀e Д"), Vocabulary("")):
        assert encoded(text, vocabulary, chunk).tolist() == vocabulary.encode(text).tolist()


def test_batches_are_64_bit_integers() -> None:
    task = StringTask("abcab" * 9, "abcab", "abcab")
    for batch in (task.train_batch(0), next(iter(task.val_dataloader())), next(iter(task.predict_dataloader()))):
        assert batch.inputs.dtype == batch.targets.dtype == torch.long


def network_spec(characters: str) -> TaskSpec:
    return StringTask(characters).spec


def test_text_is_encoded_for_another_network(capsys: pytest.CaptureFixture[str]) -> None:
    task = StringTask("abcab" * 9, "abdab", "xbcxy")
    own_loss = task.baseline.loss
    for _ in range(2):
        assert task.adapt_to(network_spec("cbqa")) == task.spec == network_spec("cbqa")
    assert capsys.readouterr().err == (
        "note: the network was not trained on the characters 'dxy': it reads them as <unk>\n"
    )
    assert task.symbols("test").tolist() == [0, 2, 1, 0, 0]
    # The same n-gram, counted and scored with the symbols of the network.
    other = StringTask("abcab" * 9, "ab?ab", "?bc??")
    other.adapt_to(network_spec("cbqa"))
    assert task.baseline == other.baseline
    assert task.baseline.loss != own_loss


def test_network_of_the_same_characters_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    task = StringTask("abcab" * 9, "abcab", "abcab")
    symbols = task.symbols("test")
    for for_training in (False, True):
        assert task.adapt_to(network_spec("abc"), for_training) == task.spec
    assert task.symbols("test") is symbols
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("characters", "difference"),
    [
        ("ab", "new characters 'c'"),
        ("abcde", "no characters 'de'"),
        ("xyz\n", "new characters 'abc' and no characters 'xyz\\\\n'"),
        ("cab", "another order"),
        ("abc" + "".join(map(chr, range(0x400, 0x450))), "no characters '" + "".join(map(chr, range(0x400, 0x41E)))),
    ],
)
def test_training_does_not_continue_on_other_characters(characters: str, difference: str) -> None:
    task = StringTask("abcab" * 9, "abcab", "abcab")
    with pytest.raises(UsageError, match=f"^the network was trained on another text: this text has {difference}") as e:
        task.adapt_to(network_spec(characters), for_training=True)
    assert "\n" not in str(e.value)


def test_network_that_was_not_trained_on_text_raises() -> None:
    with pytest.raises(UsageError, match="the network was not trained on text"):
        StringTask("abcab", "abc", "abc").adapt_to(TaskSpec(4, 4))


def test_training_does_not_continue_on_a_changed_text() -> None:
    state = StringTask("abcab" * 9, "abcab", "abcab").state_dict()
    same = StringTask("abcab" * 9, "abcab", "cbabc", batch_size=3)  # the test text has no effect on training
    same.load_state_dict(state)
    same.load_state_dict({})  # a checkpoint of version 0.1.0
    for texts in (("abcac" * 9, "abcab"), ("abcab" * 9, "abcac"), ("abcab" * 8 + "abca", "babcab")):
        with pytest.raises(UsageError, match="the text has changed since the checkpoint was saved"):
            StringTask(*texts, "abcab").load_state_dict(state)


@pytest.mark.parametrize("text", ["aaaaaaaaaaaa", "            "])
def test_text_of_a_single_symbol_raises(text: str) -> None:
    with pytest.raises(
        UsageError, match=f"the training text has a single symbol \\('{text[0]}'\\), so there is nothing"
    ):
        StringTask(text, text, text).check()


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_baseline_of_a_periodic_text_is_above_zero(sampling: Sampling) -> None:
    """A share of the baseline's loss is then finite, although the n-gram makes no error."""
    task = StringTask("abc" * 900, "abc" * 20, "abc" * 20, sampling)
    assert 0.001 <= task.baseline.loss < 0.1 or sampling != "sequential"
    assert 0 < task.baseline.learning_loss < 1.1  # type: ignore[operator]
    assert task.baseline.loss > 0


@pytest.mark.parametrize("limit", [2, 3])
def test_layout_changes_with_the_positions_of_the_rows(limit: int) -> None:
    def layout(limit: float = 1.0, **options: Any) -> list[Any]:
        task = StringTask("abcab" * 9, "abcab", "abcab", **options)
        task.trainer = trainer_of_rank(limit_train_batches=limit)
        return task.layout

    assert layout() == layout(eval_batch_size=5) != layout(limit)
    for options in ({"batch_size": 1}, {"sequence_length": 3}, {"sampling": "random"}, {"seed": 1}):
        assert layout(**options) != layout()
