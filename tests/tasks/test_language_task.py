import math
import random
from collections import Counter, defaultdict
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast, get_args

import pytest
import torch
from lightning.pytorch import Trainer

from rnn_tasks.errors import UsageError
from rnn_tasks.spec import NOT_SCORED, Batch
from rnn_tasks.spec.vocabulary import Vocabulary
from rnn_tasks.tasks import LanguageTask
from rnn_tasks.tasks.language_task import Sampling, cut

SAMPLINGS: tuple[Sampling, ...] = get_args(Sampling)
# Characters, rows and steps: with and without a rest, rows that just fit, one of each.
SHAPES = [(25, 2, 4), (26, 2, 4), (57, 3, 5), (200, 4, 7), (31, 1, 10), (40, 30, 1), (9, 1, 1), (12, 5, 1)]


class Given(LanguageTask):
    """The task of texts that a test gives."""

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


def distinct(size: int) -> str:
    """A text in which no character comes again: symbol ``i + 1`` is the one at position ``i``."""
    return "".join(chr(0x4E00 + position) for position in range(size))


def words(size: int, seed: int) -> str:
    """A text that has something to count: each letter has its favourite followers."""
    draw = random.Random(seed)
    text = "a"
    while len(text) < size:
        text += draw.choice({"a": "bbbbc ", "b": "aaca", "c": "  ab", " ": "abbb"}[text[-1]])
    return text


def on_rank(task: LanguageTask, rank: int = 0, world_size: int = 1, trained_batches: int = 0) -> LanguageTask:
    """The task as a trainer's process of this rank has it."""
    progress = SimpleNamespace(total=SimpleNamespace(ready=trained_batches))
    fit_loop = SimpleNamespace(epoch_loop=SimpleNamespace(batch_progress=progress))
    task.trainer = cast(Trainer, SimpleNamespace(global_rank=rank, world_size=world_size, fit_loop=fit_loop))
    return task


def epoch(task: LanguageTask, number: int = 0) -> list[Batch]:
    size = task.epoch_batches
    return [task.train_batch(number * size + index) for index in range(size)]


def evaluation(task: LanguageTask, split: str) -> list[Batch]:
    return list(task.val_dataloader() if split == "val" else task.test_dataloader())


def rows(batches: list[Batch]) -> list[tuple[list[list[int]], list[list[int]]]]:
    """Inputs and targets as positions in a distinct text."""
    return [((batch.inputs - 1).tolist(), (batch.targets - 1).tolist()) for batch in batches]


def starts(batches: list[Batch]) -> list[int]:
    """Where each sequence starts in a distinct text, batch by batch; all of them must be pieces of it."""
    found = []
    for inputs, targets in rows(batches):
        for read, wanted in zip(inputs, targets, strict=True):
            assert read == list(range(read[0], read[0] + len(read)))
            assert wanted == [position + 1 for position in read]
            found.append(read[0])
    return found


def same(left: list[Batch], right: list[Batch]) -> bool:
    return len(left) == len(right) and all(
        torch.equal(one.inputs, other.inputs)
        and torch.equal(one.targets, other.targets)
        and one.continues == other.continues
        for one, other in zip(left, right, strict=True)
    )


def together(parts: list[list[Batch]]) -> list[Batch]:
    """The batches of several processes with their rows below one another."""
    return [
        Batch(
            torch.cat([batch.inputs for batch in shares]),
            torch.cat([batch.targets for batch in shares]),
            continues=all(batch.continues for batch in shares),
        )
        for shares in zip(*parts, strict=True)
    ]


def sequential_by_definition(size: int, offset: int, num_rows: int, steps: int) -> list[list[tuple[int, int]]]:
    """First and last position of the inputs of each row of each batch of D2L's ``seq_data_iter_sequential``."""
    num_tokens = (size - offset - 1) // num_rows * num_rows
    text = list(range(offset, offset + num_tokens))
    width = num_tokens // num_rows
    table = [text[row * width : (row + 1) * width] for row in range(num_rows)]
    return [[(row[batch * steps], row[batch * steps + steps - 1]) for row in table] for batch in range(width // steps)]


def random_by_definition(size: int, skipped: int, num_rows: int, steps: int) -> tuple[set[int], int]:
    """The pieces from which D2L's ``seq_data_iter_random`` draws, and the number of its batches."""
    rest = list(range(size))[skipped:]
    pieces = (len(rest) - 1) // steps
    return {rest[piece * steps] for piece in range(pieces)}, pieces // num_rows


class CountedByHand:
    """Interpolated n-grams with the smoothing of Witten and Bell, from dictionaries."""

    def __init__(self, text: list[int], num_symbols: int) -> None:
        self.num_symbols = num_symbols
        self.followers: defaultdict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
        for position, symbol in enumerate(text):
            for size in range(min(position, 5) + 1):
                self.followers[tuple(text[position - size : position])][symbol] += 1

    def odds(self, context: tuple[int, ...]) -> list[float]:
        """Of each symbol after all of this context."""
        shorter = self.odds(context[1:]) if context else [1 / self.num_symbols] * self.num_symbols
        if context not in self.followers:
            return shorter
        counts = self.followers[context]
        kinds, total = len(counts), counts.total()
        return [(counts[symbol] + kinds * odds) / (total + kinds) for symbol, odds in enumerate(shorter)]

    def score(self, histories: list[tuple[list[int], int]], order: int) -> tuple[float, float]:
        """Mean loss and accuracy on symbols and what was read before each of them."""
        loss, right = 0.0, 0
        for history, symbol in histories:
            odds = self.odds(tuple(history[max(0, len(history) - order + 1) :]))
            loss -= math.log(odds[symbol])
            right += odds.index(max(odds)) == symbol
        return loss / len(histories), right / len(histories)


def best_order_by_definition(text: list[int], num_symbols: int) -> int:
    """The order that predicts the last tenth of a text best, when it is counted on the rest."""
    cut_at = round(len(text) * 0.9)
    model = CountedByHand(text[:cut_at], num_symbols)
    histories = [(text[:end], text[end]) for end in range(cut_at, len(text))]
    losses = [model.score(histories, order)[0] for order in range(1, 7)]
    return 1 + losses.index(min(losses))


def what_a_network_reads(batches: list[Batch]) -> list[tuple[list[int], int]]:
    """Each scored symbol, with the inputs that the network has read since its state was zero."""
    found: list[tuple[list[int], int]] = []
    read: list[list[int]] = []
    for batch in batches:
        if not batch.continues:
            read = [[] for _ in batch.inputs]
        for row, (inputs, targets) in enumerate(zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True)):
            for symbol, target in zip(inputs, targets, strict=True):
                read[row] = [*read[row], symbol]
                if target != NOT_SCORED:
                    found.append((read[row], target))
    return found


def test_the_picture_of_the_batches() -> None:
    task = Given("the time traveller for so")
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
    drawn = [line.strip() for line in picture.splitlines() if "inputs" in line]
    assert [line.removeprefix(f"batch {row // 2}").strip()[:30] for row, line in enumerate(drawn)] == lines


def test_pieces_have_the_text_one_character_later_as_their_targets() -> None:
    batch = cut(torch.tensor([5, 6, 7, 8, NOT_SCORED]), torch.tensor([0, 2]), 2, continues=True)
    assert batch.inputs.tolist() == [[5, 6], [7, 8]]
    assert batch.targets.tolist() == [[6, 7], [8, NOT_SCORED]]
    assert batch.continues
    assert not cut(torch.arange(9), torch.tensor([3]), 2).continues


def test_what_is_not_scored_is_no_input() -> None:
    assert cut(torch.tensor([5, NOT_SCORED, NOT_SCORED]), torch.tensor([0]), 2).inputs.tolist() == [[5, 0]]


@pytest.mark.parametrize(("size", "num_rows", "steps"), SHAPES)
@pytest.mark.parametrize("sampling", ["sequential", "sequential_reset"])
@pytest.mark.parametrize("random_offset", [True, False])
def test_sequential_batches_are_those_of_the_book(
    size: int, num_rows: int, steps: int, sampling: Sampling, random_offset: bool
) -> None:
    task = Given(
        distinct(size), sampling=sampling, batch_size=num_rows, sequence_length=steps, random_offset=random_offset
    )
    offsets = set()
    for number in range(60):
        batches = epoch(task, number)
        offset = starts(batches)[0]
        offsets.add(offset)
        expected = sequential_by_definition(size, offset, num_rows, steps)
        # As many as every epoch has, whatever its offset; another offset may leave room for one more.
        assert len(batches) == len(sequential_by_definition(size, steps * random_offset, num_rows, steps))
        assert len(expected) - len(batches) in (0, 1)
        found = [[(row[0], row[-1]) for row in inputs] for inputs, _ in rows(batches)]
        assert found == expected[: len(batches)]
    assert offsets == (set(range(steps + 1)) if random_offset else {0})


@pytest.mark.parametrize(("size", "num_rows", "steps"), SHAPES)
@pytest.mark.parametrize("random_offset", [True, False])
def test_random_batches_are_those_of_the_book(size: int, num_rows: int, steps: int, random_offset: bool) -> None:
    task = Given(
        distinct(size), sampling="random", batch_size=num_rows, sequence_length=steps, random_offset=random_offset
    )
    skips = set()
    for number in range(60):
        batches = epoch(task, number)
        found = starts(batches)
        skipped = found[0] % steps
        skips.add(skipped)
        pieces, _ = random_by_definition(size, skipped, num_rows, steps)
        _, fewest = random_by_definition(size, (steps - 1) * random_offset, num_rows, steps)
        assert len(batches) == fewest
        assert [batch.inputs.shape for batch in batches] == [(num_rows, steps)] * fewest
        assert len(set(found)) == len(found)
        assert set(found) <= pieces
    assert skips == (set(range(steps)) if random_offset else {0})


@pytest.mark.parametrize(("size", "num_rows", "steps"), SHAPES)
def test_windows_are_all_pieces_of_the_text_each_once_an_epoch(size: int, num_rows: int, steps: int) -> None:
    task = Given(distinct(size), sampling="windows", batch_size=num_rows, sequence_length=steps, random_offset=True)
    windows = size - steps  # as many pieces of steps + 1 characters
    for number in range(3):
        batches = epoch(task, number)
        assert sorted(starts(batches)) == list(range(windows))
        sizes = [len(batch.inputs) for batch in batches]
        assert sizes[:-1] == [num_rows] * (len(sizes) - 1)
        assert sum(sizes) == windows
        assert 0 < sizes[-1] <= num_rows


def test_rows_go_on_where_those_of_the_batch_before_ended() -> None:
    task = Given(distinct(203), batch_size=3, sequence_length=8, random_offset=True)
    for number in range(4):
        for before, after in pairwise(epoch(task, number)):
            assert torch.equal(after.inputs[:, 0], before.targets[:, -1])


def test_only_sequential_batches_continue_and_the_first_of_an_epoch_does_not() -> None:
    assert {
        sampling: [
            [batch.continues for batch in epoch(Given(distinct(30), sampling=sampling), number)] for number in (0, 1)
        ]
        for sampling in SAMPLINGS
    } == {
        "sequential": [[False, True, True]] * 2,
        "sequential_reset": [[False] * 3] * 2,
        "random": [[False] * 3] * 2,
        "windows": [[False] * 13] * 2,
    }


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_an_epoch_is_a_function_of_seed_and_number(sampling: Sampling) -> None:
    def task(seed: int | None) -> LanguageTask:
        return Given(distinct(400), sampling=sampling, sequence_length=30, random_offset=True, seed=seed)

    again = task(3)
    epoch(again, 7)
    assert same(epoch(task(3), 2), epoch(again, 2))
    assert same(epoch(task(None), 2), epoch(task(0), 2))
    orders = {tuple(starts(epoch(task(seed), number))) for seed in (0, 1) for number in range(8)}
    # The 31 offsets of a sequential epoch may coincide by chance, orders cannot.
    assert len(orders) == 16 if sampling in ("random", "windows") else len(orders) > 8


def test_an_order_is_random_in_all_its_parts() -> None:
    task = Given(distinct(401), sampling="random", batch_size=4, sequence_length=10)
    first = [starts([task.train_batch(10 * number)])[0] // 10 for number in range(400)]
    assert task.epoch_batches == 10
    # Each of the 40 pieces comes first about ten times in 400 epochs; never has a probability below 1e-4 for each.
    assert set(first) == set(range(40))


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_the_global_random_numbers_are_neither_used_nor_moved(sampling: Sampling) -> None:
    def batches() -> list[Batch]:
        return epoch(Given(distinct(90), distinct(30), sampling=sampling, random_offset=True), 1)

    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = batches()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert same(batches(), first)


@pytest.mark.parametrize(
    ("sampling", "batches"), [("sequential", 8), ("sequential_reset", 8), ("random", 8), ("windows", 312)]
)
def test_batches_of_ten_thousand_characters(sampling: Sampling, batches: int) -> None:
    # 32 rows of 312 characters hold 8 times 35; 285 pieces 8 times 32; 9,965 windows 311 times 32, and a rest.
    task = Given(words(10_000, 0), sampling=sampling, batch_size=32, sequence_length=35, random_offset=True)
    assert len(task.train_dataloader()) == task.epoch_batches == batches


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("trained", [0, 1, 4, 5, 11, 12])
def test_training_goes_on_in_the_middle_of_the_epoch_it_was_stopped_in(sampling: Sampling, trained: int) -> None:
    def task() -> Given:
        size = 54 if sampling != "windows" else 14
        return Given(distinct(size), sampling=sampling, random_offset=True)

    assert task().epoch_batches == 5 + (sampling != "windows")
    length = task().epoch_batches
    rest = list(on_rank(task(), trained_batches=trained).train_dataloader())
    assert same(rest, epoch(task(), trained // length)[trained % length :])


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_two_processes_together_see_what_one_with_twice_the_batch_sees(sampling: Sampling) -> None:
    def task(batch_size: int) -> LanguageTask:
        return Given(distinct(92), sampling=sampling, batch_size=batch_size, random_offset=True)

    for number in (0, 1):
        halves = [epoch(on_rank(task(3), rank, 2), number) for rank in (0, 1)]
        assert same(together(halves), epoch(task(6), number))
        found = starts(halves[0] + halves[1])
        assert len(set(found)) == len(found)
        if sampling == "sequential":
            for half in halves:
                assert all(torch.equal(b.inputs[:, 0], a.targets[:, -1]) for a, b in pairwise(half))
                assert [batch.continues for batch in half] == [False] + [True] * (len(half) - 1)


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("split", ["val", "test"])
def test_processes_share_the_evaluation_texts_by_rows(sampling: Sampling, split: str) -> None:
    def task() -> LanguageTask:
        return Given(distinct(60), distinct(33), distinct(38), sampling=sampling, eval_batch_size=5)

    alone = evaluation(task(), split)
    assert same(together([evaluation(on_rank(task(), rank, 3), split) for rank in range(3)]), alone)


def test_fewer_rows_than_processes_are_refused() -> None:
    task = on_rank(Given(distinct(60), distinct(33), eval_batch_size=1), 0, 2)
    with pytest.raises(UsageError, match="a batch of 1 sequences cannot be split over 2 processes"):
        evaluation(task, "val")


@pytest.mark.parametrize("sampling", ["sequential", "sequential_reset", "random"])
def test_every_character_but_the_first_is_scored_exactly_once(sampling: Sampling) -> None:
    for size in range(2, 14):
        for eval_rows in (1, 2, 3, 4, 5, 12, 13, 20):
            for steps in (1, 2, 3, 5, 20):
                task = Given(val=distinct(size), sampling=sampling, eval_batch_size=eval_rows, sequence_length=steps)
                scored: list[int] = []
                for batch in task.val_dataloader():
                    assert batch.inputs.shape[1] <= steps
                    assert len(batch.inputs) == min(eval_rows, size - 1)
                    scored += (batch.targets[batch.scored] - 1).tolist()
                    # Each of them is asked for at the character before it.
                    assert torch.equal(batch.inputs[batch.scored] + 1, batch.targets[batch.scored])
                assert sorted(scored) == list(range(1, size))


@pytest.mark.parametrize("sampling", ["sequential", "sequential_reset", "random"])
def test_an_evaluation_text_is_laid_out_in_rows_and_the_last_one_filled_up(sampling: Sampling) -> None:
    task = Given(val=distinct(12), sampling=sampling, eval_batch_size=3, sequence_length=3)
    nothing = NOT_SCORED - 1
    assert rows(evaluation(task, "val")) == [
        ([[0, 1, 2], [4, 5, 6], [8, 9, 10]], [[1, 2, 3], [5, 6, 7], [9, 10, 11]]),
        ([[3], [7], [11]], [[4], [8], [nothing]]),
    ]
    continues = [batch.continues for batch in task.val_dataloader()]
    assert continues == [False, sampling == "sequential"]


def test_rows_without_any_character_read_nothing_and_are_not_scored() -> None:
    task = Given(val=distinct(6), eval_batch_size=4, sequence_length=9)
    (batch,) = task.val_dataloader()
    assert batch.inputs.tolist() == [[1, 2], [3, 4], [5, 6], [0, 0]]
    assert batch.targets.tolist() == [[2, 3], [4, 5], [6, NOT_SCORED], [NOT_SCORED, NOT_SCORED]]


def test_an_evaluation_in_windows_has_each_window_once_in_order() -> None:
    task = Given(val=distinct(12), sampling="windows", eval_batch_size=3, sequence_length=4)
    batches = evaluation(task, "val")
    assert starts(batches) == list(range(8))
    assert [batch.inputs.shape for batch in batches] == [(3, 4), (3, 4), (2, 4)]
    assert not any(batch.continues for batch in batches)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_evaluation_is_the_same_at_every_reading_and_prediction_reads_the_test(sampling: Sampling) -> None:
    texts = distinct(60), distinct(33), distinct(38)[::-1]
    task = Given(*texts, sampling=sampling, random_offset=True)
    first = evaluation(task, "test")
    epoch(task, 3)
    assert same(evaluation(task, "test"), first)
    assert same(evaluation(Given(*texts, sampling=sampling, seed=5), "test"), first)
    assert same(list(task.predict_dataloader()), first)
    assert not same(evaluation(task, "val"), first)
    assert len(task.test_dataloader()) == len(first)


@pytest.mark.parametrize("split", ["val", "test"])
@pytest.mark.parametrize("size", [0, 1])
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_an_evaluation_text_without_anything_to_predict_is_refused(sampling: Sampling, split: str, size: int) -> None:
    task = Given(distinct(60), sampling=sampling)
    task.texts[split] = distinct(size)
    message = f"the {split} text " + ("is shorter than a window of 4" if sampling == "windows" else f"has {size} ")
    with pytest.raises(UsageError, match=message):
        evaluation(task, split)
    with pytest.raises(UsageError, match=message):
        task.baseline_on(split)


def test_an_evaluation_text_that_just_holds_a_window_is_one() -> None:
    assert starts(evaluation(Given(val=distinct(5), sampling="windows"), "val")) == [0]
    with pytest.raises(UsageError, match="the val text is shorter than a window of 4 characters"):
        evaluation(Given(val=distinct(4), sampling="windows"), "val")


@pytest.mark.parametrize(
    ("sampling", "random_offset", "least"),
    [
        # Two rows of four characters and a target; an offset of up to 4 more, or of up to 3.
        ("sequential", False, 9),
        ("sequential", True, 13),
        ("sequential_reset", True, 13),
        ("random", False, 9),
        ("random", True, 12),
        ("windows", True, 5),
    ],
)
def test_a_training_text_that_is_too_short_for_a_batch_is_refused(
    sampling: Sampling, random_offset: bool, least: int
) -> None:
    def task(size: int) -> LanguageTask:
        return Given(distinct(size), sampling=sampling, random_offset=random_offset)

    assert all(len(batches) == 1 for batches in (epoch(task(least), number) for number in range(20)))
    for size in (0, 1, least - 1):
        with pytest.raises(UsageError) as refused:
            task(size).train_dataloader()
        said = str(refused.value)
        assert said.startswith(f"the training text has {size} characters, too few for a batch of 2 sequences of 4;")
        assert "--data.batch_size" in said
        assert "--data.sequence_length" in said
        assert "\n" not in said


def test_processes_need_a_text_for_all_of_them() -> None:
    on_rank(Given(distinct(17)), 0, 2).train_dataloader()
    with pytest.raises(UsageError, match="16 characters, too few for a batch of 4 sequences"):
        on_rank(Given(distinct(16)), 0, 2).train_dataloader()


@pytest.mark.parametrize(("short", "named"), [(0, "training"), (1, "val"), (2, "test")])
def test_a_text_that_is_too_short_is_found_before_the_first_step(short: int, named: str) -> None:
    def task(train: int, val: int, test: int) -> LanguageTask:
        return Given(distinct(train), distinct(val), distinct(test), random_offset=True)

    sizes = [13, 2, 2]
    task(*sizes).check()
    sizes[short] -= 1
    with pytest.raises(UsageError, match=f"the {named} text has {sizes[short]} characters, too few"):
        task(*sizes).check()


def test_as_many_symbols_go_in_as_out() -> None:
    task = Given("abba", "abc")
    assert task.spec.input_size == task.spec.output_size == 4
    assert task.spec.vocabulary == Vocabulary("abc")
    assert task.floor is None


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("split", ["val", "test"])
def test_the_baseline_is_an_n_gram_that_reads_what_the_network_reads(sampling: Sampling, split: str) -> None:
    task = Given(
        words(900, 1), words(151, 2), words(137, 3) + "x!", sampling=sampling, sequence_length=9, eval_batch_size=4
    )
    size = len(task.vocabulary)
    text = task.vocabulary.encode(task.text("train")).tolist()
    order, model = best_order_by_definition(text, size), CountedByHand(text, size)
    histories = what_a_network_reads(evaluation(task, split))
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


def test_the_baseline_of_a_task_is_that_of_its_test() -> None:
    task = Given(words(400, 1), words(100, 2), words(100, 3))
    assert task.baseline == task.baseline_on("test") != task.baseline_on("val")


def test_a_text_without_memory_is_best_predicted_by_frequencies() -> None:
    dice = "".join(random.Random(0).choices("abcdef", k=2000))
    assert Given(dice, dice, dice).baseline.name == "1-gram"


def test_evaluation_texts_are_not_counted() -> None:
    train, val, test, other = words(400, 1), words(100, 2), words(100, 3), "cba" * 40
    baseline = Given(train, val, test).baseline
    assert Given(train, other, test).baseline == baseline
    task = Given(train, val, test)
    task.baseline_on("val")
    assert task.baseline == baseline
    assert Given(train, val, other).baseline_on("val") == task.baseline_on("val")
    assert Given(other, val, test).baseline != baseline


@pytest.mark.parametrize("stage", ["val", "test"])
def test_a_text_is_solved_below_the_loss_of_the_n_gram_on_the_same_text(stage: str) -> None:
    task = Given(words(400, 1), words(100, 2), words(100, 3))
    loss = task.baseline_on(stage).loss
    assert task.solved({f"{stage}/loss": loss - 1e-6}, stage)
    assert not task.solved({f"{stage}/loss": loss}, stage)
    assert not task.solved({f"{stage}/loss": loss + 1e-6}, stage)
    assert not task.solved({f"{stage}/loss": math.nan}, stage)
    assert not task.solved({}, stage)


def test_solved_is_said_of_the_validation_unless_asked() -> None:
    task = Given(words(400, 1), words(100, 2), words(100, 3))
    assert task.solved({"val/loss": 0.1, "test/loss": 9.0})
    assert not task.solved({"val/loss": 9.0, "test/loss": 0.1})


@pytest.mark.parametrize("name", ["batch_size", "sequence_length", "eval_batch_size"])
def test_a_size_below_1_is_refused(name: str) -> None:
    sizes: dict[str, Any] = {name: 0}
    with pytest.raises(UsageError, match=f"^{name} must be at least 1, got 0$"):
        Given(**sizes)


def test_a_seed_below_0_is_refused() -> None:
    with pytest.raises(UsageError, match="seed must be at least 0, got -1"):
        Given(seed=-1)
