"""Visits of explorer pages: a reader types, steps, changes the networks, and shares what the page shows."""

import re
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from playwright.sync_api import Browser, expect
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from rnn_tasks.analysis.snapshots import Snapshots
from rnn_tasks.cores import Elman
from rnn_tasks.explorer.sequences import validation_sequences
from rnn_tasks.networks import Network, TaggerNetwork
from rnn_tasks.report.run_data import RunData, in_double_precision
from tests.helpers.browser import PANELS, Visit, visit
from tests.helpers.explorer_pages import ExplorerPage

pytestmark = pytest.mark.slow

Pages = Callable[[str], ExplorerPage]

ROUNDED = 6e-6
"""Largest relative error of a saved number, which has six digits."""

ROW_HEIGHT = 14
"""Pixels of a row in the map of a small network."""


def without_unit(network: Network, unit: int) -> Network:
    """Return a copy of a network with one layer, in double precision, in which a unit is always 0.

    The candidate value of the unit is tanh(0) in each step, so that its state remains at its start, 0.
    """
    copy = in_double_precision(network)
    candidate = 0 if len(copy.core.recurrent_weights()) == 1 else 2  # the third of the gates in torch's GRU and LSTM
    with torch.no_grad():
        for name, weight in copy.core.named_parameters():
            assert name.endswith("_l0")
            weight[candidate * network.core.hidden_size + unit] = 0
    return copy


def at_snapshot(network: Network, snapshots: Snapshots, index: int) -> Network:
    """Return a copy of a network with the weights of a snapshot."""
    copy = deepcopy(network)
    copy.load_state_dict({name: rows[index] for name, rows in snapshots.weights.items()})
    return copy


def check_score(saved: dict[str, Any], run: RunData, network: Network) -> None:
    """Compare saved numbers of answers, right answers and losses with those of a network on the stored sequences."""
    assert run.task is not None
    batch = validation_sequences(run.task).batch
    with torch.no_grad():
        logits = network(batch.inputs, batch.condition)[0]
    counted = batch.scored if batch.memory is None else batch.memory
    right = int((logits.argmax(-1) == batch.targets)[counted].sum())
    assert (saved["right"], saved["answers"]) == (right, int(counted.sum()))
    loss = float(cross_entropy(logits.mT, batch.targets, reduction="sum"))
    assert saved["loss"] == pytest.approx(loss, rel=ROUNDED)
    assert saved["scored"] == int(batch.scored.sum())


def states_of(network: Network, symbols: Tensor, condition: int | None = None) -> Tensor:
    """Return the outputs of the layer, ``(time, hidden_size)``, for one sequence of symbols."""
    conditions = None if condition is None else torch.tensor([condition])
    with torch.no_grad():
        outputs: Tensor = network.core(network.encode(symbols[None], conditions))[0][0]
    return outputs


def saved_states(opened: Visit, run: int = 0) -> np.ndarray:
    """Return the saved values of the part of the state that the page shows, ``(time, units)``."""
    return np.array(opened.numbers("state")["runs"][run]["values"])


def click_map(opened: Visit, unit: int, step: int, run: int = 0) -> None:
    """Click the cell of a unit and a step in the map of the state, in its order by index."""
    canvas, chosen = opened.part("state", "map", run), opened.part("state", "unit", run)
    box, table = canvas.bounding_box(), opened.find("#time-line").bounding_box()
    cell = opened.find("#time-line tr.input td").nth(step).bounding_box()
    assert box is not None
    assert cell is not None
    assert table is not None
    x, middle = cell["x"] - table["x"] + cell["width"] / 2, box["height"] / 2
    canvas.click(position={"x": x, "y": middle})
    rows = unit - int(chosen.input_value())
    canvas.click(position={"x": x, "y": middle + rows * ROW_HEIGHT})
    expect(chosen).to_have_value(str(unit))


def edits(opened: Visit, run: int = 0) -> list[str]:
    """Return the list of the changes that are in effect."""
    return [text.removesuffix(" ✕") for text in opened.part("change", "edits", run).locator("li").all_inner_texts()]


def numbers_of(opened: Visit, panels: Sequence[str] = PANELS) -> dict[str, Any]:
    """Return the saved numbers of panels."""
    opened.settle()
    return {panel: opened.numbers(panel) for panel in panels}


def press(opened: Visit, *keys: str) -> None:
    """Press keys."""
    for key in keys:
        opened.page.keyboard.press(key)


def symbols_of(run: RunData, text: str) -> Tensor:
    """Return the symbols of a text."""
    spec = run.network.spec
    if spec.vocabulary is not None:
        return spec.vocabulary.encode(text)
    assert spec.codec is not None
    return spec.codec.encode([text]).inputs[0]


def test_visit_of_a_network_with_snapshots(browser: Browser, explorer_page: Pages) -> None:
    page = explorer_page("elman_grammar")
    [run] = page.runs
    assert run.snapshots is not None
    text, unit = "the boys see", 4
    with visit(browser, page.file) as opened:
        opened.find("#text").fill(text)
        assert opened.row("input") == text.replace(" ", "␣")
        opened.find("#time-line").focus()
        for key, step in [("End", 11), ("ArrowLeft", 10), ("Home", 0), ("ArrowRight", 1), ("ArrowLeft", 0)]:
            press(opened, key)
            expect(opened.find("#step-value")).to_have_text(f"{step} of 11")

        click_map(opened, unit, step=5)
        expect(opened.find("#step-value")).to_have_text("5 of 11")
        before = opened.shown()
        assert edits(opened) == ["none"]
        expect(opened.find("#undo")).to_be_disabled()

        opened.part("state", "cut").click()
        opened.settle()
        assert edits(opened) == [f"unit {unit} cut"]
        scores = opened.numbers("change")["runs"][0]["score"]
        check_score(scores["unchanged"], run, run.network)
        check_score(scores["changed"], run, without_unit(run.network, unit))
        assert scores["changed"]["loss"] != pytest.approx(scores["unchanged"]["loss"])
        assert "With the changes: accuracy" in opened.part("change", "score").inner_text()
        expect(opened.find("#changes")).to_contain_text(f"unit {unit} cut")
        expected = states_of(without_unit(run.network, unit), symbols_of(run, text))
        np.testing.assert_allclose(saved_states(opened), expected, ROUNDED, 1e-12)

        steps = run.snapshots.steps.tolist()
        expect(opened.find("#moment-value-0")).to_have_text("trained")
        for moment in (0, 1):
            opened.find("#moment-0").fill(str(moment))
            expect(opened.find("#moment-value-0")).to_have_text(f"step {steps[moment]}")
            network = without_unit(at_snapshot(run.network, run.snapshots, moment), unit)
            expected = states_of(network, symbols_of(run, text))
            np.testing.assert_allclose(saved_states(opened), expected, atol=1e-3)  # snapshots have 16 bits

        linked, numbers = opened.shown(), numbers_of(opened)
        opened.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        opened.find("#copy-link").click()
        expect(opened.find("#link")).to_have_value(opened.page.url)
        expect(opened.find("#message")).to_contain_text("The link is copied")
        assert opened.page.evaluate("() => navigator.clipboard.readText()") == opened.page.url
        with visit(browser, page.file, linked["fragment"]) as reopened:
            assert reopened.shown() == linked
            assert numbers_of(reopened) == numbers

        opened.find("#moment-0").fill(str(len(steps)))
        opened.find("#undo").click()
        assert opened.shown() == before


def test_visit_of_two_networks(browser: Browser, explorer_page: Pages) -> None:
    page = explorer_page("copy")
    with visit(browser, page.file) as opened:
        opened.find("#text").fill("310")
        opened.find("#delay").fill("2")
        opened.find("#step").fill("6")
        before, numbers = opened.shown(), numbers_of(opened, PANELS[:4])
        for index, run in enumerate(page.runs):
            expected = states_of(in_double_precision(run.network), symbols_of_copy(run, "310", 2))
            np.testing.assert_allclose(numbers["state"]["runs"][index]["values"], expected, ROUNDED)
            click_map(opened, unit=5 + index, step=6, run=index)

        opened.part("state", "cut", 1).click()
        opened.settle()
        assert (edits(opened, 0), edits(opened, 1)) == (["none"], ["unit 6 cut"])
        changed = numbers_of(opened)
        check_score(changed["change"]["runs"][0]["score"]["changed"], page.runs[0], page.runs[0].network)
        assert changed["memory"]["runs"][0] == numbers["memory"]["runs"][0]
        second = without_unit(page.runs[1].network, 6)
        check_score(changed["change"]["runs"][1]["score"]["changed"], page.runs[1], second)
        assert changed["answer"]["runs"][1]["loss"] != numbers["answer"]["runs"][1]["loss"]

        linked = opened.shown()
        with visit(browser, page.file, linked["fragment"]) as reopened:
            assert reopened.shown() == linked
            assert numbers_of(reopened) == changed

        opened.find("#undo").click()
        for index in range(2):
            opened.part("state", "unit", index).fill("0")
            opened.part("state", "unit", index).press("Enter")
        assert opened.shown() == before


def symbols_of_copy(run: RunData, text: str, delay: int) -> Tensor:
    """Return the symbols of a text and of the cue that follows it."""
    assert run.network.spec.codec is not None
    return run.network.spec.codec.encode([text], delay).inputs[0]


def test_visit_of_a_network_that_receives_the_delay(browser: Browser, explorer_page: Pages) -> None:
    page = explorer_page("variable_delay_echo")
    [run] = page.runs
    network, text = run.network, "abcddcbaa"
    assert isinstance(network, TaggerNetwork)
    with visit(browser, page.file) as opened:
        opened.find("#text").fill(text)
        opened.find("#delay").fill("0")
        for delay in range(4):
            expect(opened.find("#delay-value")).to_have_text(str(delay))
            assert opened.row("answer") == network.respond(text, delay)
            assert opened.row("target").rstrip() == " " * delay + text[: len(text) - delay]
            expected = states_of(in_double_precision(network), symbols_of_copy(run, text, delay), delay)
            np.testing.assert_allclose(saved_states(opened), expected, ROUNDED)
            opened.find("#delay").press("ArrowRight")
        opened.find("#sequence").select_option("5")  # the delays of the sequences are 0, 1, 2, 3, 0, 1, ...
        expect(opened.find("#sequence option:checked")).to_have_text("5: " + opened.row("input") + ", delay 1")
        expect(opened.find("#delay")).to_be_disabled()


def test_changes_act_as_in_pytorch(browser: Browser, explorer_page: Pages) -> None:
    page = explorer_page("echo")
    [run] = page.runs
    text = "abcdabcd"
    inputs = symbols_of(run, text)

    def changed(change: Callable[[Tensor], object]) -> Tensor:
        """Return the states of a copy of the network with another recurrent matrix."""
        copy = in_double_precision(run.network)
        assert isinstance(copy.core, Elman)
        with torch.no_grad():
            change(copy.core.weight_hh_l0)
        return states_of(copy, inputs)

    with visit(browser, page.file) as opened:
        opened.find("#text").fill(text)
        opened.find("#step").fill("4")
        before = opened.shown()

        def check(label: str, expected: Tensor) -> None:
            """Compare the states and the list of changes, and undo the change by its entry in the list."""
            assert edits(opened) == [label]
            np.testing.assert_allclose(saved_states(opened), expected, ROUNDED, 1e-9)
            opened.part("change", "edits").get_by_role("button").click()
            assert edits(opened) == ["none"]

        opened.part("change", "scale").fill("0.5")
        check("layer 1 (weight_hh_l0) times 0.5", changed(lambda weight: weight.mul_(0.5)))

        opened.part("change", "to").fill("3")
        opened.part("change", "from").fill("7")
        opened.part("change", "cut-connection").click()
        check("layer 1 (weight_hh_l0): unit 7 to unit 3 cut", changed(lambda weight: weight[3, 7].zero_()))

        opened.part("change", "matrix").click(position={"x": 90, "y": 110})
        [label] = edits(opened)
        found = re.fullmatch(r"layer 1 \(weight_hh_l0\): unit (\d+) to unit (\d+) cut", label)
        assert found is not None
        column, row = map(int, found.groups())
        check(label, changed(lambda weight: weight[row, column].zero_()))

        opened.part("change", "reset").click()
        network = in_double_precision(run.network)
        check("state reset before step 4", torch.cat([states_of(network, inputs[:4]), states_of(network, inputs[4:])]))

        opened.part("change", "to").fill("0")
        opened.part("change", "from").fill("0")
        assert opened.shown() == before
        opened.part("change", "noise").fill("0.2")
        noisy = opened.shown()
        difference = saved_states(opened) - states_of(network, inputs).numpy()
        assert np.all(difference != 0)
        assert 0.1 < difference[0].std() < 0.4
        opened.find("#undo").click()
        assert opened.shown() == before
        with visit(browser, page.file, noisy["fragment"]) as reopened:
            assert reopened.shown() == noisy


def test_held_gate_acts_as_in_pytorch(browser: Browser, explorer_page: Pages) -> None:
    page = explorer_page("variable_delay_echo")
    readout = page.runs[0].network.readout
    assert isinstance(readout, nn.Linear)
    with visit(browser, page.file) as opened:
        opened.part("change", "gate").select_option("layer0/update")
        opened.part("change", "gate-value").fill("1")
        opened.part("change", "hold-gate").click()
        assert edits(opened) == ["layer 1 update gate held at 1"]
        assert np.all(saved_states(opened) == 0)  # h_t = 0 * new + 1 * h_{t-1}
        probabilities = opened.numbers("answer")["runs"][0]["probabilities_at_step"]
        np.testing.assert_allclose(probabilities, readout.bias.detach().double().softmax(-1), ROUNDED)


def test_units_are_ranked_by_the_loss_of_accuracy(browser: Browser, explorer_page: Pages) -> None:
    page = explorer_page("echo")
    [run] = page.runs
    assert run.task is not None
    batch = validation_sequences(run.task).batch.rows(0, 50)

    def accuracy(network: Network) -> float:
        """Return the accuracy on the sequences that the ranking uses."""
        with torch.no_grad():
            answers = network(batch.inputs, batch.condition)[0].argmax(-1)
        return float((answers == batch.targets)[batch.scored].double().mean())

    with visit(browser, page.file) as opened:
        opened.part("change", "rank").click()
        expect(opened.part("change", "ranking")).to_contain_text("on 50 sequences")
        ranking = opened.numbers("change")["runs"][0]["loss_of_accuracy_by_cutting_each_unit"]
        expected = [accuracy(run.network) - accuracy(without_unit(run.network, unit)) for unit in range(12)]
        np.testing.assert_allclose(ranking, expected, 1e-5, 1e-9)
        order = sorted(range(12), key=lambda unit: -expected[unit])
        assert opened.numbers("state")["runs"][0]["units"] == order
        with visit(browser, page.file, opened.page.url.partition("#")[2]) as reopened:
            reopened.part("change", "rank").click()
            expect(reopened.part("change", "ranking")).to_contain_text("on 50 sequences")
            assert reopened.numbers("state")["runs"][0]["units"] == order


def test_text_is_continued(browser: Browser, explorer_page: Pages) -> None:
    with visit(browser, explorer_page("text").file) as opened:
        opened.find("#text").fill("the time")
        opened.find("#temperature").fill("0")
        opened.find("#continue").click()
        continued = opened.find("#text").input_value()
        answers = opened.numbers("answer")["runs"][0]["answers"]
        assert continued.startswith("the time")
        assert len(continued) > len("the time")
        assert "".join(answers[7:-1]).replace("␣", " ") == continued[8:]  # each character is the likeliest one
        assert opened.row("input").replace("␣", " ") == continued


def test_page_is_used_by_keyboard_alone(browser: Browser, explorer_page: Pages) -> None:
    with visit(browser, explorer_page("echo").file) as opened:

        def reach(selector: str) -> None:
            """Press Tab until an element has the focus."""
            for _ in range(60):
                press(opened, "Tab")
                if opened.find(f"{selector}:focus").count():
                    return
            raise AssertionError(f"Tab does not reach {selector}")

        reach("#text")
        press(opened, "ControlOrMeta+a", *"dcbad")
        assert opened.row("input") == "dcbad"
        reach("#sequence")
        reach("#forward")
        press(opened, "Space", "Space", "Enter")
        expect(opened.find("#step-value")).to_have_text("3 of 4")
        reach("#step")
        press(opened, "ArrowLeft")
        expect(opened.find("#step-value")).to_have_text("2 of 4")
        reach("#copy-link")
        reach("#back")
        press(opened, "Enter")
        expect(opened.find("#step-value")).to_have_text("1 of 4")
        reach("#time-line")
        press(opened, "ArrowRight", "ArrowRight", "ArrowRight")
        expect(opened.find("#step-value")).to_have_text("4 of 4")
        for panel in PANELS[:2]:
            for name in ("PNG", "JSON"):
                reach(f"#{panel} button:text-is('{name}')")
        reach("#state [data-part=map]")
        press(opened, "ArrowDown", "ArrowDown", "ArrowDown", "ArrowUp", "ArrowLeft")
        expect(opened.part("state", "unit")).to_have_value("2")
        expect(opened.find("#step-value")).to_have_text("3 of 4")
        reach("#state [data-part=cut]")
        press(opened, "Enter")
        assert edits(opened) == ["unit 2 cut"]
        reach("#change [data-part=scale]")
        press(opened, "ArrowLeft")
        assert edits(opened) == ["unit 2 cut", "layer 1 (weight_hh_l0) times 0.99"]
        reach("#change [data-part=cut-connection]")
        press(opened, "Enter")
        reach("#change [data-part=noise]")
        press(opened, "ArrowRight")
        reach("#change [data-part=reset]")
        press(opened, "Enter")
        reach("#change [data-part=edits] button")
        assert len(edits(opened)) == 5
        press(opened, "Enter")
        assert len(edits(opened)) == 4
        reach("#undo")
        press(opened, "Enter")
        assert edits(opened) == ["none"]


def test_step_is_chosen_by_dragging(browser: Browser, explorer_page: Pages) -> None:
    with visit(browser, explorer_page("echo").file) as opened:
        opened.find("#text").fill("abcdabc")
        cells = opened.find("#time-line tr.input td")
        chosen = opened.find("#step-value")
        cells.nth(1).hover()
        opened.page.mouse.down()
        expect(chosen).to_have_text("1 of 6")
        cells.nth(4).hover()
        expect(chosen).to_have_text("4 of 6")
        opened.settle()  # while the button is held, too
        opened.page.mouse.up()
        cells.nth(2).hover()
        expect(chosen).to_have_text("4 of 6")


def test_play_shows_one_step_after_the_other(browser: Browser, explorer_page: Pages) -> None:
    with visit(browser, explorer_page("echo").file) as opened:
        opened.find("#text").fill("abcdabc")
        opened.find("#step").fill("4")
        opened.find("#play").click()
        expect(opened.find("#play")).to_have_text("Stop")
        expect(opened.find("#step-value")).to_have_text("6 of 6")
        expect(opened.find("#play")).to_have_text("Play")


def test_unknown_letters_are_named_and_change_nothing(browser: Browser, explorer_page: Pages) -> None:
    with visit(browser, explorer_page("echo").file) as opened:
        before = opened.row("input")
        opened.find("#text").fill("abx")
        expect(opened.find("#message")).to_have_text("“x” is not a letter of this task. Letters: abcd")
        assert opened.row("input") == before
        opened.find("#text").fill("")
        expect(opened.find("#message")).to_have_text("Type at least one letter.")
        opened.find("#text").fill("abd")
        assert opened.row("input") == "abd"
