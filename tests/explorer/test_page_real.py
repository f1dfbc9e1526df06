"""Explorer pages of real inputs and outputs, and of outputs with characters of their own, compared with PyTorch."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from playwright.sync_api import Browser, expect
from torch import Tensor

from rnn_tasks.analysis.flow import state_trajectory
from rnn_tasks.explorer.sequences import validation_sequences
from rnn_tasks.networks import Network, TaggerNetwork
from rnn_tasks.report.run_data import RunData, in_double_precision
from rnn_tasks.spec import NOT_SCORED, Batch
from tests.helpers.browser import Visit, visit
from tests.helpers.explorer_pages import ExplorerPage

pytestmark = pytest.mark.slow

Pages = Callable[[str], ExplorerPage]

ROUNDED = 6e-6
"""Largest relative error of a saved number, which has six digits."""

RECORDED = 1e-3
"""Largest error of a recorded output or state, which has 16 bits."""


def stored_batch(run: RunData, sequence: int) -> Batch:
    """Return a stored sequence of a page in double precision."""
    assert run.task is not None
    batch = validation_sequences(run.task).batch.rows(sequence, sequence + 1)
    return batch if run.network.spec.real_targets is False else batch._replace(targets=batch.targets.double())


def outputs_of(network: Network, inputs: Tensor) -> Tensor:
    """Return the outputs ``(batch, time, outputs)`` without gradient."""
    with torch.no_grad():
        outputs: Tensor = network(inputs)[0]
    return outputs


def without_unit(network: Network, unit: int) -> Network:
    """Return a copy of a GRU network in double precision in which a unit is always 0: its candidate is tanh(0)."""
    copy = in_double_precision(network)
    with torch.no_grad():
        for weight in copy.core.parameters():
            weight[2 * network.core.hidden_size + unit] = 0
    return copy


def mean_squared_error(network: Network, batch: Batch) -> float:
    """Return the mean squared error over the scored steps."""
    errors = (outputs_of(network, batch.inputs) - batch.targets).square().mean(-1)
    return float(errors[batch.scored].mean())


def check_outputs(opened: Visit, network: Network, batch: Batch, tolerance: float = 1e-9) -> None:
    """Compare the saved outputs, errors and states with those of a network on one sequence."""
    saved = opened.numbers("answer")["runs"][0]
    outputs = outputs_of(network, batch.inputs)[0]
    np.testing.assert_allclose(saved["outputs"], outputs, ROUNDED, tolerance)
    errors = (outputs - batch.targets[0]).square().mean(-1)
    np.testing.assert_allclose(np.array(saved["squared_error"], dtype=float), errors, 1e-5, tolerance)
    states = opened.numbers("state")["runs"][0]["values"]
    np.testing.assert_allclose(states, state_trajectory(network, batch)[0], ROUNDED, tolerance)


def test_visit_of_a_network_with_real_values(browser: Browser, explorer_page: Pages) -> None:
    page = explorer_page("adding")
    [run] = page.runs
    assert run.snapshots is not None
    assert run.task is not None
    network, last = in_double_precision(run.network), 11
    with visit(browser, page.file) as opened:
        for hidden in ("#text", "#delay", "#time-line", "#answer-help"):
            expect(opened.find(hidden)).to_be_hidden()
        expect(opened.find("#step-value")).to_have_text(f"{last} of {last}")
        for part in ("coloured", "group"):
            expect(opened.part("state", part)).to_be_hidden()
        expect(opened.find("#answer .curve")).to_have_count(2)
        expect(opened.part("change", "references")).to_contain_text("mean squared error 0.167")
        for plateau in run.task.plateaus:
            expect(opened.part("change", "references")).to_contain_text(plateau.name)

        opened.find("#sequence").select_option("7")
        batch = stored_batch(run, 7)
        check_outputs(opened, network, batch)
        before = opened.shown()
        opened.find("#step").fill("4")
        expect(opened.part("memory", "sentence")).to_contain_text("This step has no target")
        expect(opened.part("memory", "gradient")).to_be_hidden()
        expect(opened.part("answer", "sentence")).to_contain_text("This step is not scored.")

        field = opened.find("#features input").nth(1)
        expect(opened.find("#restore")).to_be_disabled()
        field.fill("0.5")
        expect(opened.find("#message")).to_contain_text("The input is changed")
        changed = batch.inputs.clone()
        changed[0, 4, 1] = 0.5
        check_outputs(opened, network, batch._replace(inputs=changed))
        opened.find("#step").fill(str(last))
        linked = opened.shown()
        with visit(browser, page.file, linked["fragment"]) as reopened:
            assert reopened.shown() == linked
        opened.find("#restore").click()
        assert opened.shown() == before

        opened.part("state", "unit").fill("3")
        opened.part("state", "unit").press("Enter")
        opened.part("state", "cut").click()
        opened.settle()
        whole = validation_sequences(run.task).batch
        errors = [mean_squared_error(each, whole) for each in (network, without_unit(network, 3))]
        scores = opened.numbers("change")["runs"][0]["score"]
        for name, error in zip(("unchanged", "changed"), errors, strict=True):
            assert scores[name]["loss"] / scores[name]["scored"] == pytest.approx(error, rel=1e-5)
        expect(opened.find("#changes")).to_contain_text("unit 3 cut. Mean squared error 0.")
        check_outputs(opened, without_unit(network, 3), batch)
        opened.find("#undo").click()

        opened.find("#moment-0").fill("0")
        early = in_double_precision(run.network)
        early.load_state_dict({name: rows[0] for name, rows in run.snapshots.weights.items()})
        check_outputs(opened, early, batch, RECORDED)


def test_remembered_real_inputs_equal_those_of_pytorch(browser: Browser, explorer_page: Pages) -> None:
    page = explorer_page("adding")
    [run] = page.runs
    with visit(browser, page.file, fragment="sequence=5&step=11") as opened:
        opened.settle()
        [saved] = opened.numbers("memory")["runs"]
    network, batch = in_double_precision(run.network), stored_batch(run, 5)
    features = batch.inputs.double().requires_grad_()
    error = (network(features)[0] - batch.targets)[0, 11].square().mean()
    torch.autograd.backward(error)
    assert features.grad is not None
    np.testing.assert_allclose(saved["gradient_by_input"], features.grad[0].norm(dim=-1), 1e-5)
    assert saved["loss"] == pytest.approx(error.item(), rel=1e-5)
    others = replacing_inputs(run)
    assert saved["replacements"] == len(others)
    measured, predicted = [], []
    for step in range(12):
        inputs = batch.inputs.double().repeat(len(others), 1, 1)
        inputs[:, step] = others
        errors = (outputs_of(network, inputs) - batch.targets)[:, 11].square().mean(-1)
        measured.append(float(errors.mean() - error.detach()))
        predicted.append(float(((others - batch.inputs[0, step]) @ features.grad[0, step]).mean()))
    np.testing.assert_allclose(saved["mean_change_of_loss_by_exchange"], measured, 1e-4, 1e-9)
    np.testing.assert_allclose(saved["change_predicted_by_gradient"], predicted, 1e-4, 1e-9)


def replacing_inputs(run: RunData) -> Tensor:
    """Return nine of 400 inputs at equal distances in the stored sequences; in adding, all inputs are different."""
    assert run.task is not None
    inputs = validation_sequences(run.task).batch.inputs.flatten(0, 1).double()
    for count in (400, 9):
        inputs = inputs[[int(i * (len(inputs) - 1) / (count - 1) + 0.5) for i in range(count)]]
    return inputs


def test_recorded_real_values_are_shown(browser: Browser, explorer_page: Pages) -> None:
    page = explorer_page("recorded adding")
    with visit(browser, page.file) as opened:
        expect(opened.find("#features-field")).to_be_hidden()
        opened.find("#sequence").select_option("4")
        check_outputs(opened, page.runs[0].network, stored_batch(page.runs[0], 4), RECORDED)


def test_real_inputs_may_have_symbols_as_targets(browser: Browser, explorer_page: Pages) -> None:
    page = explorer_page("elman_letters")
    [run] = page.runs
    network = in_double_precision(run.network)
    with visit(browser, page.file) as opened:
        opened.find("#sequence").select_option("2")
        opened.find("#step").fill("5")
        batch = stored_batch(run, 2)
        logits = outputs_of(network, batch.inputs)[0]
        steps = int(batch.scored[0].nonzero().max()) + 1
        saved = opened.numbers("answer")
        np.testing.assert_allclose(saved["input"], batch.inputs[0, :steps], ROUNDED)
        assert saved["runs"][0]["answers"] == [str(symbol) for symbol in logits[:steps].argmax(-1).tolist()]
        np.testing.assert_allclose(saved["runs"][0]["probabilities_at_step"], logits[5].softmax(-1), ROUNDED)
        expect(opened.find("#time-line tr.input")).to_have_count(0)
        opened.part("state", "order").select_option("symbol")
        units = opened.numbers("state")["runs"][0]["units"]
        assert sorted(units) == list(range(8))
        assert units != list(range(8))


def test_answers_may_have_their_own_characters(browser: Browser, explorer_page: Pages) -> None:
    page = explorer_page("automaton")
    [run] = page.runs
    network, task = run.network, run.task
    assert isinstance(network, TaggerNetwork)
    assert task is not None
    codec = network.spec.codec
    assert codec is not None
    whole = validation_sequences(task).batch
    with visit(browser, page.file) as opened:
        lengths = [int(row.nonzero().max()) + 1 for row in whole.scored]
        longest = lengths.index(max(lengths))
        expect(opened.find("#sequence")).to_have_value(str(longest))
        for sequence in (longest, 2):
            opened.find("#sequence").select_option(str(sequence))
            row, length = whole.rows(sequence, sequence + 1), lengths[sequence]
            [target] = codec.decode_outputs(row.targets[:, :length])
            answers = outputs_of(network, row.inputs).argmax(-1).where(row.scored, NOT_SCORED)
            [answer] = codec.decode_outputs(answers[:, :length])
            assert opened.row("target") == target
            assert opened.row("answer") == answer
        text = codec.sample * 2
        opened.find("#text").fill(text)
        assert opened.row("answer") == network.respond(text)
        assert opened.row("target").isspace()
        expect(opened.find("#accuracy")).to_contain_text("does not know the right answers to a typed text")
        opened.find("#step").fill(str(len(text)))
        expect(opened.part("answer", "sentence")).to_contain_text("The right one is not known.")
        saved: dict[str, Any] = opened.numbers("answer")["runs"][0]
        assert saved["loss"] == [None] * (len(text) + 1)
