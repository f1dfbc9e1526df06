"""Explorer pages of layers that are linear in their state, compared with PyTorch."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from playwright.sync_api import Browser, expect
from torch import Tensor

from rnn_tasks.analysis.flow import state_trajectory
from rnn_tasks.cores import LRU, DeltaNet, MinGRU
from rnn_tasks.explorer.live import state_parts
from rnn_tasks.explorer.sequences import validation_sequences
from rnn_tasks.networks import Network
from rnn_tasks.report.run_data import RunData, in_double_precision
from rnn_tasks.spec import Batch
from tests.helpers.browser import Visit, visit
from tests.helpers.explorer_pages import LINEAR_NAMES, ExplorerPage

pytestmark = pytest.mark.slow

Pages = Callable[[str], ExplorerPage]

ROUNDED = 6e-6
"""Largest relative error of a saved number, which has six digits."""

SEQUENCE = 3


def stored_batch(run: RunData) -> Batch:
    """Return the stored sequence that the tests show."""
    assert run.task is not None
    batch = validation_sequences(run.task).batch.rows(SEQUENCE, SEQUENCE + 1)
    return batch._replace(targets=batch.targets.double()) if run.network.spec.real_targets else batch


def output_at(network: Network, batch: Batch, step: int) -> Tensor:
    """Return the real outputs or the probabilities of the symbols at a step."""
    with torch.no_grad():
        output: Tensor = network(batch.inputs, batch.condition)[0][0, step]
    return output if network.spec.real_targets else output.softmax(-1)


def shown_output(opened: Visit) -> np.ndarray:
    """Return the real outputs or the probabilities at the chosen step that the page saves."""
    numbers = opened.numbers("answer")
    run = numbers["runs"][0]
    return np.array(run["outputs"][numbers["step"]] if "outputs" in run else run["probabilities_at_step"])


@pytest.mark.parametrize("name", LINEAR_NAMES)
def test_outputs_and_states_equal_those_of_pytorch(name: str, browser: Browser, explorer_page: Pages) -> None:
    page = explorer_page(name)
    [run] = page.runs
    network, batch = in_double_precision(run.network), stored_batch(run)
    step = int(batch.scored[0].nonzero().max())
    states = state_trajectory(network, batch)[0, : step + 1]
    with visit(browser, page.file, fragment=f"sequence={SEQUENCE}&step={step}") as opened:
        opened.settle()
        np.testing.assert_allclose(shown_output(opened), output_at(network, batch, step), 1e-5, 1e-9)
        for part in state_parts(network)[:3]:
            opened.part("state", "part").select_option(part.name)
            values = np.array(opened.numbers("state")["runs"][0]["values"])
            expected = states[:, part.start :: part.step][:, : part.size]
            np.testing.assert_allclose(values, expected, ROUNDED, 1e-9)
            is_matrix = part.columns > 1
            for canvas, is_visible in (("map", not is_matrix), ("image", is_matrix)):
                expect(opened.part("state", canvas)).to_be_visible(visible=is_visible)


def test_update_gate_of_a_mingru_keeps_the_state(browser: Browser, explorer_page: Pages) -> None:
    page = explorer_page("mingru")
    assert isinstance(page.runs[0].network.core, MinGRU)
    with visit(browser, page.file) as opened:
        expect(opened.part("change", "blocks-field")).to_be_hidden()
        expect(opened.part("change", "gates-caption")).to_have_text("Update gate: 1 keeps the old state.")
        opened.part("change", "gate").select_option("layer0/update")
        opened.part("change", "gate-value").fill("1")
        opened.part("change", "hold-gate").click()
        expect(opened.part("change", "edits")).to_contain_text("layer 1 update gate held at 1")
        assert np.all(np.array(opened.numbers("state")["runs"][0]["values"]) == 0)


def test_units_and_eigenvalues_of_an_lru_are_changed(browser: Browser, explorer_page: Pages) -> None:
    page = explorer_page("lru")
    [run] = page.runs
    network, batch = in_double_precision(run.network), stored_batch(run)
    core, step, unit = network.core, batch.targets.shape[1] - 1, 2
    assert isinstance(core, LRU)
    eigenvalues = core.eigenvalues(batch.inputs)["diagonal"]
    with visit(browser, page.file, fragment=f"sequence={SEQUENCE}&step={step}&0.unit={unit}") as opened:
        for hidden in ("gates-field", "matrix-field"):
            expect(opened.part("change", hidden)).to_be_hidden()
        shown = np.array(opened.numbers("change")["runs"][0]["eigenvalues"]) @ [1, 1j]
        np.testing.assert_allclose(np.sort_complex(shown), np.sort_complex(eigenvalues.numpy()), 1e-5)
        opened.part("state", "cut").click()
        expect(opened.part("change", "edits")).to_have_text(f"unit {unit} cut ✕")
        with torch.no_grad():
            core.weight_in[2 * unit : 2 * unit + 2] = 0
        np.testing.assert_allclose(shown_output(opened), output_at(network, batch, step), 1e-5, 1e-9)
        opened.part("change", "scale").fill("0.5")
        with torch.no_grad():
            core.nu_log.copy_((core.nu_log.exp() + np.log(2)).log())  # |lambda| = exp(-exp(nu))
        np.testing.assert_allclose(shown_output(opened), output_at(network, batch, step), 1e-5, 1e-9)


def test_matrix_of_a_deltanet_is_clicked_and_held(browser: Browser, explorer_page: Pages) -> None:
    page = explorer_page("deltanet")
    core = page.runs[0].network.core
    assert isinstance(core, DeltaNet)
    with visit(browser, page.file) as opened:
        expect(opened.part("change", "blocks-field")).to_be_hidden()
        expect(opened.find("#matrix-help")).to_be_visible()
        opened.part("state", "part").select_option("layer0/key")
        expect(opened.find("#matrix-help")).to_be_hidden()
        keys = np.array(opened.numbers("state")["runs"][0]["values"])
        opened.part("state", "part").select_option("head 2 matrix")
        numbers = opened.numbers("state")
        [shown] = numbers["runs"]
        matrix = np.array(shown["values"][numbers["step"]]).reshape(core.head_size, core.head_size)
        returned = np.linalg.norm(keys[: numbers["step"] + 1, core.head_size :] @ matrix, axis=1)
        later = np.zeros(len(keys) - numbers["step"] - 1)
        np.testing.assert_allclose(shown["returned_for_keys"], [*returned, *later], 1e-4, 1e-9)
        expect(opened.part("state", "returned").locator("span")).to_have_count(len(keys))
        box = opened.part("state", "image").bounding_box()
        assert box is not None
        opened.part("state", "image").click(position={"x": 40, "y": box["height"] / 2})
        unit = int(opened.part("state", "unit").input_value())
        assert unit % core.head_size == 1
        assert unit // core.head_size in (1, 2)
        expect(opened.part("state", "sentence")).to_contain_text(f"row {unit // core.head_size}, column 1")
        opened.part("state", "cut").click()
        expect(opened.part("change", "edits")).to_have_text(f"head 2 unit {unit} cut ✕")
        values = np.array(opened.numbers("state")["runs"][0]["values"])
        assert np.all(values[:, unit] == 0)
        assert np.all((values != 0).any(0) == (np.arange(core.head_size**2) != unit))
        opened.part("change", "gate").select_option("layer0/beta")
        opened.part("change", "gate-units").select_option("unit")
        opened.part("change", "hold-gate").click()
        expect(opened.find("#message")).to_have_text("This gate has 2 units: choose one of them.")
        opened.part("state", "part").select_option("layer0/beta")
        for button in ("cut", "mean", "release"):
            expect(opened.part("state", button)).to_be_disabled()
