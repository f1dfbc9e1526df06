import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint, Timer
from torch import nn, optim
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau, StepLR

from rnn_tasks.callbacks import ExactResume, Reorthogonalize, RunSummary
from rnn_tasks.errors import UsageError
from rnn_tasks.models.schedules import WarmupLinear
from rnn_tasks.runs.checkpoints import callback_problem, optimizer_problem, read_tensors, training_state_problem

OPTIMIZERS: dict[str, Callable[[Any], Optimizer]] = {
    "Adam": lambda groups: optim.Adam(groups, lr=0.1),
    "AdamW": lambda groups: optim.AdamW(groups, lr=0.1),
    "AMSGrad": lambda groups: optim.Adam(groups, lr=0.1, amsgrad=True),
    "NAdam": lambda groups: optim.NAdam(groups, lr=0.1),
    "Adagrad": lambda groups: optim.Adagrad(groups, lr=0.1),
    "Adadelta": lambda groups: optim.Adadelta(groups, lr=0.1),
    "RMSprop": lambda groups: optim.RMSprop(groups, lr=0.1, centered=True),
    "SGD": lambda groups: optim.SGD(groups, lr=0.1),
    "Momentum": lambda groups: optim.SGD(groups, lr=0.1, momentum=0.9),
    "LBFGS": lambda groups: optim.LBFGS(groups[0]["params"], lr=0.1),
}


def groups_of(model: nn.Module) -> list[dict[str, Any]]:
    """Return the parameters of a model in one group."""
    return [{"name": "rest", "params": list(model.parameters())}]


def trained(name: str, steps: int = 2) -> dict[str, Any]:
    """Return the parts of a checkpoint that hold the state of an optimizer after some steps."""
    model = nn.Linear(3, 2)
    optimizer = OPTIMIZERS[name](groups_of(model))

    def closure() -> float:
        optimizer.zero_grad()
        loss = model(torch.ones(1, 3)).square().sum()
        loss.backward()
        return float(loss.detach())

    for _ in range(steps):
        optimizer.step(closure)
    return {"optimizer_states": [optimizer.state_dict()], "lr_schedulers": [], "global_step": steps}


@pytest.mark.parametrize("steps", [0, 2])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_problem_accepts_the_same_optimizer(name: str, steps: int) -> None:
    model = nn.Linear(3, 2)
    optimizer = OPTIMIZERS[name](groups_of(model))
    weights, state = copy.deepcopy(model.state_dict()), copy.deepcopy(optimizer.state_dict())
    assert optimizer_problem(trained(name, steps), [optimizer]) is None
    assert all(torch.equal(value, weights[key]) for key, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert str(optimizer.state_dict()) == str(state)


@pytest.mark.parametrize(
    ("stored", "name"),
    [
        ("Adam", "SGD"),
        ("Adam", "Momentum"),
        ("Adam", "RMSprop"),
        ("Adam", "NAdam"),
        ("Adam", "Adagrad"),
        ("Adam", "Adadelta"),
        ("SGD", "Adam"),
        ("SGD", "RMSprop"),
        ("RMSprop", "SGD"),
        ("RMSprop", "Adam"),
        ("Adagrad", "Adam"),
    ],
)
def test_optimizer_problem_names_another_optimizer(stored: str, name: str) -> None:
    problem = optimizer_problem(trained(stored), [OPTIMIZERS[name](groups_of(nn.Linear(3, 2)))])
    assert problem is not None
    assert "another optimizer" in problem


def test_optimizer_problem_compares_stored_class_names() -> None:
    checkpoint = {**trained("Adam"), "rnn_tasks": {"optimizers": ["Adam"]}}
    assert optimizer_problem(checkpoint, [optim.Adam(groups_of(nn.Linear(3, 2)))]) is None
    problem = optimizer_problem(checkpoint, [optim.AdamW(groups_of(nn.Linear(3, 2)))])
    assert problem == "it holds the state of another optimizer: Adam instead of AdamW"


def change_state(**values: Any) -> Callable[[dict[str, Any]], None]:
    """Return a function that changes the state of the first parameter."""
    return lambda state: state["state"][0].update(values)


@pytest.mark.parametrize(
    "damage",
    [
        lambda state: state["state"].clear(),
        lambda state: state["state"][0].pop("exp_avg"),
        lambda state: state["state"][0].pop("step"),
        lambda state: state["param_groups"][0].pop("betas"),
        lambda state: state["param_groups"][0].update(betas=0.9),
        lambda state: state["param_groups"][0].update(lr=math.nan),
        lambda state: state["param_groups"][0].update(params=[0]),
        lambda state: state["param_groups"].append(state["param_groups"][0]),
        change_state(exp_avg=torch.zeros(5)),
        change_state(exp_avg=torch.zeros(())),
        change_state(exp_avg=None),
        change_state(exp_avg_sq=torch.full((2, 3), math.nan)),
        change_state(step="x"),
    ],
)
def test_optimizer_problem_finds_a_damaged_state(damage: Callable[[dict[str, Any]], None]) -> None:
    checkpoint = trained("Adam")
    damage(checkpoint["optimizer_states"][0])
    assert optimizer_problem(checkpoint, [OPTIMIZERS["Adam"](groups_of(nn.Linear(3, 2)))]) is not None


def test_optimizer_problem_compares_the_numbers_of_states() -> None:
    optimizer = OPTIMIZERS["Adam"](groups_of(nn.Linear(3, 2)))
    checkpoint = {**trained("Adam"), "optimizer_states": []}
    assert optimizer_problem(checkpoint, [optimizer]) == "it holds the state of 0 optimizers, and the model has 1"
    schedule = StepLR(optimizer, 2)
    assert optimizer_problem(trained("Adam"), [optimizer], [schedule]) == (
        "it holds the state of 0 schedules, and the model has 1"
    )


SCHEDULES: dict[str, Callable[[Optimizer], Any]] = {
    "WarmupLinear": lambda optimizer: WarmupLinear(optimizer, 9),
    "StepLR": lambda optimizer: StepLR(optimizer, 2),
    "ReduceLROnPlateau": ReduceLROnPlateau,
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_optimizer_problem_compares_the_schedules(name: str) -> None:
    optimizer = OPTIMIZERS["Adam"](groups_of(nn.Linear(3, 2)))
    stored = SCHEDULES[name](OPTIMIZERS["Adam"](groups_of(nn.Linear(3, 2))))
    stored.optimizer.step()
    stored.step(*([0.5] if name == "ReduceLROnPlateau" else []))
    for other in SCHEDULES:
        checkpoint = {**trained("Adam"), "lr_schedulers": [copy.deepcopy(stored.state_dict())]}
        problem = optimizer_problem(checkpoint, [optimizer], [SCHEDULES[other](optimizer)])
        assert (problem is None) == (other == name), (other, problem)
    for key in [key for key in stored.state_dict() if not key.startswith("_")]:
        state = copy.deepcopy(stored.state_dict())
        del state[key]
        checkpoint = {**trained("Adam"), "lr_schedulers": [state]}
        assert optimizer_problem(checkpoint, [optimizer], [SCHEDULES[name](optimizer)]) is not None, key


def test_callback_problem_compares_states_with_callbacks() -> None:
    callbacks = [EarlyStopping("val/loss"), ModelCheckpoint(monitor="val/loss"), Timer(), RunSummary(), ExactResume()]
    callbacks += [Reorthogonalize()]
    states = {callback.state_key: callback.state_dict() for callback in callbacks if callback.state_dict()}
    assert callback_problem({"callbacks": states}, callbacks) is None
    assert callback_problem({"callbacks": {}}, callbacks) is None
    for name, state in states.items():
        for key, value in state.items():
            if value is not None:
                for other in (None, [1, 2], nn.Linear):
                    damaged = {**states, name: {**state, key: other}}
                    assert callback_problem({"callbacks": damaged}, callbacks) is not None, (name, key, other)


def test_training_state_problem_needs_more_than_weights() -> None:
    problem = training_state_problem({"state_dict": {}})
    assert problem == "it holds weights, but no state of the optimizer and loops"
    states: dict[str, Any] = {"state_dict": {}, "loops": {}, "optimizer_states": []}
    assert training_state_problem(states) == "its pytorch-lightning_version is missing or damaged"


def test_read_tensors_rejects_endless_nesting(tmp_path: Path) -> None:
    inner: list[Any] = []
    inner.append(inner)
    torch.save({"state_dict": {}, "endless": inner}, tmp_path / "a.ckpt")
    with pytest.raises(UsageError, match="nested too deeply"):
        read_tensors(tmp_path / "a.ckpt")
