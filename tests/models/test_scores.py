import numpy as np
import pytest
import torch
from torch import Tensor
from torchmetrics.classification import MulticlassAccuracy

from rnn_tasks.models import GroupMeans, Scores
from rnn_tasks.spec import NOT_SCORED, Batch


def random_batch(num_conditions: int = 0, with_memory: bool = False, rows: int = 12) -> tuple[Tensor, Tensor, Batch]:
    """Return the sum of the losses, answers with some errors, and a batch."""
    targets = torch.randint(0, 4, (rows, 7))
    answers = torch.where(torch.rand(rows, 7) < 0.9, targets, torch.randint(0, 4, (rows, 7)))
    targets[torch.rand(rows, 7) < 0.3] = NOT_SCORED
    memory = torch.rand(rows, 7) < 0.5 if with_memory else None
    condition = torch.randint(0, num_conditions, (rows,)) if num_conditions else None
    return 50 * torch.rand(()), answers, Batch(torch.zeros_like(targets), targets, memory, condition)


def scores_by_loop(updates: list[tuple[Tensor, Tensor, Batch]], num_conditions: int) -> dict[str, float]:
    """Return all scores, counted step by step."""
    scored, sequences, exact_matches = 0, 0, 0
    correct, memory_steps = np.zeros(max(1, num_conditions)), np.zeros(max(1, num_conditions))
    for _, answers, batch in updates:
        for row in range(len(answers)):
            condition = 0 if batch.condition is None else int(batch.condition[row])
            errors = 0
            for step in range(answers.shape[1]):
                if batch.targets[row, step] == NOT_SCORED:
                    continue
                scored += 1
                if batch.memory is None or batch.memory[row, step]:
                    memory_steps[condition] += 1
                    is_correct = int(answers[row, step] == batch.targets[row, step])
                    correct[condition] += is_correct
                    errors += 1 - is_correct
            sequences += 1
            exact_matches += errors == 0
    accuracies = {index: correct[index] / memory_steps[index] for index in np.flatnonzero(memory_steps)}
    scores = {
        "loss": sum(float(loss) for loss, _, _ in updates) / scored,
        "accuracy": correct.sum() / memory_steps.sum(),
        "worst_accuracy": min(accuracies.values()),
        "exact_match": exact_matches / sequences,
        "memory_steps": memory_steps.sum(),
    }
    if num_conditions:
        scores |= {f"accuracy_at/{condition}": accuracy for condition, accuracy in accuracies.items()}
    return scores


@pytest.mark.parametrize("num_conditions", [0, 3])
@pytest.mark.parametrize("with_memory", [False, True])
def test_scores_equal_a_count_step_by_step(num_conditions: int, with_memory: bool) -> None:
    updates = [random_batch(num_conditions, with_memory, rows) for rows in (12, 3, 30)]
    scores = Scores(num_conditions)
    for update in updates:
        scores.update(*update)
    expected = scores_by_loop(updates, num_conditions)
    assert scores.compute() == pytest.approx(expected, rel=1e-5)
    assert 0 < expected["exact_match"] < 1
    assert 0 < expected["accuracy"] < 1


def test_accuracy_equals_torchmetrics() -> None:
    theirs = MulticlassAccuracy(4, average="micro", ignore_index=NOT_SCORED)
    ours = Scores()
    for rows in (12, 3, 30):
        loss, answers, batch = random_batch(rows=rows)
        ours.update(loss, answers, batch)
        theirs.update(answers, batch.targets)
    assert ours.compute()["accuracy"] == pytest.approx(theirs.compute().item())


def test_scores_of_several_batches_equal_one_large_batch() -> None:
    loss, answers, batch = random_batch(3, with_memory=True, rows=30)
    whole, parts = Scores(3), Scores(3)
    whole.update(loss, answers, batch)
    for start, stop in ((0, 1), (1, 17), (17, 30)):
        parts.update(loss * (stop - start) / 30, answers[start:stop], batch.rows(start, stop))
    assert parts.compute() == pytest.approx(whole.compute(), rel=1e-5)


def test_scores_of_two_processes_are_summed() -> None:
    updates = [random_batch(3), random_batch(3)]
    ranks, whole = (Scores(3), Scores(3)), Scores(3)
    for rank, update in zip(ranks, updates, strict=True):
        rank.update(*update)
        whole.update(*update)
    ranks[0].merge_state(ranks[1])
    assert ranks[0].compute() == pytest.approx(whole.compute(), rel=1e-5)


def test_condition_without_sequences_has_no_accuracy() -> None:
    targets = torch.tensor([[1, 1], [1, 1]])
    batch = Batch(targets, targets, condition=torch.tensor([0, 2]))
    scores = Scores(4)
    scores.update(torch.tensor(0.0), torch.tensor([[1, 1], [1, 0]]), batch)
    values = scores.compute()
    assert values["worst_accuracy"] == 0.5
    assert {name: value for name, value in values.items() if "/" in name} == {
        "accuracy_at/0": 1.0,
        "accuracy_at/2": 0.5,
    }


def test_worst_accuracy_is_0_when_no_step_is_scored() -> None:
    """An empty validation set must not count as solved."""
    symbols = torch.zeros(2, 3, dtype=torch.long)
    scores = Scores()
    scores.update(torch.tensor(0.0), symbols, Batch(symbols, torch.full_like(symbols, NOT_SCORED)))
    assert scores.compute()["worst_accuracy"] == 0


def test_reset_discards_all_batches() -> None:
    scores, fresh, update = Scores(3), Scores(3), random_batch(3)
    scores.update(*random_batch(3))
    scores.reset()
    for metric in (scores, fresh):
        metric.update(*update)
    assert scores.compute() == fresh.compute()


def test_counts_are_exact_above_2_to_the_24() -> None:
    scores = Scores()
    targets = torch.ones(1, 3, dtype=torch.long)
    scores.memory_steps.fill_(2**24)
    scores.correct.fill_(2**24)
    scores.update(torch.tensor(0.0), targets, Batch(targets, targets))
    assert scores.memory_steps.tolist() == scores.correct.tolist() == [2**24 + 3]


@pytest.mark.parametrize("width", [1, 7])
def test_group_means_equal_a_count_step_by_step(width: int) -> None:
    means = GroupMeans(5)
    by_group: dict[int, list[float]] = {}
    for rows in (12, 3):
        values, counted = torch.rand(rows, 7), torch.rand(rows, 7) < 0.5
        group = torch.randint(0, 4, (rows, width))
        means.update(values, counted, group)
        for row, step in counted.nonzero().tolist():
            by_group.setdefault(int(group[row, step % width]), []).append(values[row, step].item())
    computed = means.compute()
    assert set(computed) == set(by_group)
    for name, members in by_group.items():
        mean, steps = computed[name]
        assert mean == pytest.approx(np.mean(members), rel=1e-5)
        assert steps == len(members)
