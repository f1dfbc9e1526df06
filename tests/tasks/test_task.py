from collections.abc import Sequence

import pytest
import torch

from rnn_tasks.spec import Baseline, Batch, TaskSpec
from rnn_tasks.tasks import Copy, Echo, Task, VariableDelayEcho
from rnn_tasks.tasks.copy import copy
from rnn_tasks.tasks.echo import echo


class NoCodec(Task):
    """A task whose sequences are not strings, so that its spec has no codec."""

    @property
    def spec(self) -> TaskSpec:
        return TaskSpec(2, 2)

    @property
    def baseline(self) -> Baseline:
        return Baseline(1.0, 0.5)


def lines(*texts: str) -> str:
    return "\n".join(texts)


@pytest.mark.parametrize(
    ("task", "name"), [(Copy(), "copy"), (VariableDelayEcho(), "variable_delay_echo"), (NoCodec(), "no_codec")]
)
def test_name_is_the_class_name_in_snake_case(task: Task, name: str) -> None:
    assert task.name == name


@pytest.mark.parametrize(
    ("metrics", "solved"),
    [
        ({"val/worst_accuracy": 0.99}, True),
        ({"val/worst_accuracy": 0.9899, "val/accuracy": 1.0}, False),
        ({"test/worst_accuracy": 1.0}, False),
        ({}, False),
    ],
)
def test_task_is_solved_when_its_worst_condition_is(metrics: dict[str, float], solved: bool) -> None:
    assert Echo().solved(metrics) is solved


def test_solved_uses_stage_and_threshold() -> None:
    assert Echo().solved({"test/worst_accuracy": 0.5}, stage="test", threshold=0.5)
    assert not Echo().solved({"test/worst_accuracy": 0.5}, stage="test", threshold=0.51)


def test_show_aligns_input_target_and_answer() -> None:
    batch = Batch(*echo(torch.tensor([[1, 2, 3, 4], [4, 3, 2, 1]]), torch.tensor([2, 2]), torch.tensor([4, 3])))
    texts = Echo(delay=2).show(batch, torch.tensor([[9, 9, 1, 5], [9, 9, 4, 9]]))
    assert texts == [
        lines("input   abcd", "target    ab", "answer    ae"),
        lines("input   dcb", "target    d", "answer    d"),
    ]


def test_show_includes_the_delay_when_it_is_the_condition() -> None:
    batch = Batch(*echo(torch.tensor([[1, 2, 3]]), torch.tensor([1]), torch.tensor([3])), condition=torch.tensor([1]))
    (text,) = VariableDelayEcho().show(batch, torch.tensor([[3, 1, 1]]))
    assert text == lines("delay   1", "input   abc", "target   ab", "answer   aa")


@pytest.mark.parametrize(
    ("answers", "shown"), [([3, 3, 3, 3, 0, 1, 2], "answer      012"), ([0, 3, 3, 3, 3, 3, 1], "answer  0     1")]
)
def test_show_includes_answers_before_the_recall(answers: Sequence[int], shown: str) -> None:
    task = Copy(num_symbols=3, alphabet_size=3)
    batch = Batch(*copy(torch.tensor([[0, 1, 2]]), torch.tensor([1]), task.layout, task.blank, task.marker))
    (text,) = task.show(batch, torch.tensor([answers]))
    assert text == lines("input   012", "target      012", shown)


def test_show_is_empty_for_a_task_without_codec() -> None:
    assert NoCodec().show(Batch(torch.zeros(1, 2), torch.zeros(1, 2)), torch.zeros(1, 2)) == []
