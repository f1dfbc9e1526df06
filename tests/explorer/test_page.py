"""Explorer pages in a browser: what they show and save, compared with PyTorch."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from PIL import Image
from playwright.sync_api import Browser, expect
from torch import Tensor
from torch.nn.functional import cross_entropy

from rnn_tasks.analysis.flow import gradient_by_lag, state_trajectory
from rnn_tasks.analysis.gates import gate_activity
from rnn_tasks.cores import Elman
from rnn_tasks.explorer.sequences import validation_sequences
from rnn_tasks.explorer.write import page_of_runs
from rnn_tasks.networks import Network, TaggerNetwork
from rnn_tasks.report.run_data import RunData, in_double_precision
from rnn_tasks.spec import NOT_SCORED, Batch, TaskSpec
from rnn_tasks.spec.vocabulary import UNPRINTABLE, visible
from rnn_tasks.tasks import Copy, Counting
from rnn_tasks.texts.grammar import ELMAN
from tests.helpers.browser import PANELS, Visit, visit
from tests.helpers.explorer_pages import LIVE, NAMES, OTHER_NAMES, ExplorerPage
from tests.helpers.explorer_runs import small_run

pytestmark = pytest.mark.slow

Pages = Callable[[str], ExplorerPage]

TYPED = {
    "echo": [("dcbaabcd", 2), ("ab", 2), ("abcd" * 12, 2)],
    "variable_delay_echo": [("abcddcbaa", 0), ("abcddcbaa", 3), ("b", 1)],
    "copy": [("312", 2), ("0", 3), ("30213", 4)],
    "elman_grammar": [("the girls see the dog", 0), ("k", 0)],
    "text": [("the time machine", 0), ("wells, 1895 é", 0)],
    "layers": [("dbcaabcda", 2), ("aaab", 0)],
}
"""Texts to type in each page, with a delay: of the length of the training, shorter, longer, with unknown characters."""

ROUNDED = 6e-6
"""Largest relative error of a saved number, which has six digits."""

RECORDED = 2e-4
"""Largest error of a recorded state, which has 16 bits, and of a loss that is computed from recorded logits."""


def printed(spec: TaskSpec, symbols: Tensor) -> list[str]:
    """Return the printed form of symbols."""
    if spec.vocabulary is not None:
        letters = [UNPRINTABLE, *map(visible, spec.vocabulary.characters)]
    else:
        assert spec.codec is not None
        letters = list(spec.codec.symbols.replace(" ", "·"))
    return [letters[symbol] for symbol in symbols.tolist()]


def typed_batch(spec: TaskSpec, text: str, delay: int) -> Batch:
    """Return the inputs of a typed text, with the targets that its task would set."""
    if spec.vocabulary is not None:
        symbols = spec.vocabulary.encode(text)
        return Batch(symbols[None], torch.cat([symbols[1:], torch.tensor([NOT_SCORED])])[None])
    assert spec.codec is not None
    batch = spec.codec.encode([text], delay)
    letters = torch.tensor([spec.codec.index(letter) for letter in text])
    steps = batch.targets[0] != NOT_SCORED
    batch.targets[0, steps] = letters[: int(steps.sum())]
    return batch


def stored_batch(run: RunData) -> Batch:
    """Return the sequences that the page stores."""
    assert run.task is not None
    return validation_sequences(run.task).batch


def logits_of(network: Network, batch: Batch) -> Tensor:
    """Return the logits ``(batch, time, outputs)`` without gradient."""
    with torch.no_grad():
        logits: Tensor = network(batch.inputs, batch.condition)[0]
    return logits


def losses(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the loss of each step, 0 where the step is not scored."""
    return cross_entropy(logits.mT, targets, ignore_index=NOT_SCORED, reduction="none")


def array(values: Any) -> np.ndarray:
    """Return saved numbers as an array, with NaN in place of null."""
    return np.array(values, dtype=float)


def type_text(opened: Visit, text: str, delay: int) -> None:
    """Type a text, and choose the delay if the page has a control for it."""
    opened.find("#text").fill(text)
    if opened.find("#delay").is_visible():
        opened.find("#delay").fill(str(delay))


@pytest.mark.parametrize("name", [*NAMES, *OTHER_NAMES])
def test_page_fits_into_narrow_and_wide_windows(name: str, browser: Browser, explorer_page: Pages) -> None:
    with visit(browser, explorer_page(name).file, width=1400) as opened:
        opened.find("#about summary").click()
        windows: list[tuple[int, Literal["light", "dark"]]] = [(1400, "light"), (1400, "dark"), (400, "dark")]
        for width, scheme in [*windows, (400, "light")]:
            opened.prefer(scheme)
            if opened.width() != width:
                opened.page.set_viewport_size({"width": width, "height": 900})
                opened.page.wait_for_timeout(250)  # the page draws when the size has not changed for a moment
            opened.settle()
            assert opened.width() == width
        last = opened.find("#sequence option").last.get_attribute("value")
        opened.find("#sequence").select_option(last)
        opened.settle()
        assert opened.width() == 400


def test_page_follows_the_colour_scheme(browser: Browser, explorer_page: Pages) -> None:
    with visit(browser, explorer_page("echo").file) as opened:
        light = opened.shown()
        opened.prefer("dark")
        dark = opened.shown()
        opened.prefer("light")
        assert opened.shown() == light
    assert [picture for picture in dark["pictures"] if picture in light["pictures"]] == []
    assert dark | {"pictures": light["pictures"]} == light


@pytest.mark.parametrize("name", ["copy", "elman_grammar", "recorded", "adding"])
def test_controls_and_pictures_have_names(name: str, browser: Browser, explorer_page: Pages) -> None:
    named = """elements => elements.filter(element => element.checkVisibility()).map(element =>
        element.ariaLabel || [...(element.labels || [])].map(label => label.textContent).join() || element.textContent
    )"""
    with visit(browser, explorer_page(name).file) as opened:
        opened.settle()
        controls = opened.find("input, textarea, button").evaluate_all(named)
        choices = opened.find("select").evaluate_all("elements => elements.map(element => element.labels.length)")
        pictures = opened.find("canvas[role=img]").evaluate_all(named)
        assert opened.find("canvas:not(.axis):not([role=img])").count() == 0
    assert len(controls) > 8
    assert len(pictures) > 4
    assert all(text.strip() for text in [*controls, *pictures])
    assert set(choices) == {1}


@pytest.mark.parametrize("name", LIVE)
def test_typed_text_is_answered_as_in_pytorch(name: str, browser: Browser, explorer_page: Pages) -> None:
    page = explorer_page(name)
    with visit(browser, page.file) as opened:
        for text, delay in TYPED[name]:
            type_text(opened, text, delay)
            numbers = opened.numbers("answer")
            answer = opened.row("answer")
            for index, run in enumerate(page.runs):
                batch = typed_batch(run.network.spec, text, delay)
                logits = logits_of(in_double_precision(run.network), batch)
                symbols = printed(run.network.spec, logits[0].argmax(-1))
                assert numbers["input"] == printed(run.network.spec, batch.inputs[0])
                assert numbers["runs"][index]["answers"] == symbols
                shown = answer[index * len(symbols) : (index + 1) * len(symbols)]
                if isinstance(run.network, TaggerNetwork) and batch.scored.any():
                    assert shown.replace("·", " ") == run.network.respond(text, delay)
                else:
                    assert shown == "".join(symbols)
                scored = (batch.targets[0] != NOT_SCORED).numpy()
                loss = array(numbers["runs"][index]["loss"])
                np.testing.assert_array_equal(np.isfinite(loss), scored)
                np.testing.assert_allclose(loss[scored], losses(logits, batch.targets)[0].numpy()[scored], ROUNDED)


@pytest.mark.parametrize("name", NAMES)
def test_saved_numbers_equal_those_of_pytorch(name: str, browser: Browser, explorer_page: Pages) -> None:
    page = explorer_page(name)
    error = 0.0 if name in LIVE else RECORDED
    with visit(browser, page.file) as opened:
        for sequence in (0, 7):
            opened.find("#sequence").select_option(str(sequence))
            batch = stored_batch(page.runs[0]).rows(sequence, sequence + 1)
            step = int(batch.scored[0].nonzero().max())
            # Steps after the last scored step are padding, which a page does not show.
            batch = batch._replace(inputs=batch.inputs[:, : step + 1], targets=batch.targets[:, : step + 1])
            opened.find("#step").fill(str(step))
            numbers = opened.numbers("answer")
            assert numbers["step"] == step
            for index, run in enumerate(page.runs):
                logits = logits_of(in_double_precision(run.network), batch)
                saved = numbers["runs"][index]
                assert saved["answers"] == printed(run.network.spec, logits[0].argmax(-1))
                probabilities = logits[0, step].softmax(-1)
                np.testing.assert_allclose(saved["probabilities_at_step"], probabilities, ROUNDED, error)
                scored = batch.scored[0].numpy()
                expected = losses(logits, batch.targets)[0].numpy()[scored]
                np.testing.assert_allclose(array(saved["loss"])[scored], expected, ROUNDED, error)
        for index, run in enumerate(page.runs):
            compare_states(opened, index, run, batch, error)


def compare_states(opened: Visit, index: int, run: RunData, batch: Batch, error: float) -> None:
    """Compare the saved states and gates of a run on one sequence with PyTorch's."""
    network = in_double_precision(run.network)
    columns = iter(torch.split(state_trajectory(network, batch)[0], run.network.core.hidden_size, -1))
    gates = gate_activity(network, batch)
    options = opened.part("state", "part", index).locator("option")
    names = options.evaluate_all("options => options.map(option => option.value)")
    assert len(names) > len(gates)
    for name in names:
        opened.part("state", "part", index).select_option(name)
        saved = opened.numbers("state")["runs"][index]
        assert saved["part"] == name
        expected = gates[name][0] if name in gates else next(columns)
        np.testing.assert_allclose(saved["values"], expected, ROUNDED, max(error, 1e-9))
    assert next(columns, None) is None


@pytest.mark.parametrize("name", LIVE)
def test_accuracy_equals_that_of_pytorch(name: str, browser: Browser, explorer_page: Pages) -> None:
    page = explorer_page(name)
    with visit(browser, page.file) as opened:
        opened.settle()
        saved = opened.numbers("change")["runs"]
        for index, run in enumerate(page.runs):
            batch = stored_batch(run)
            logits = logits_of(in_double_precision(run.network), batch)
            counted = batch.scored if batch.memory is None else batch.memory
            right = int((logits.argmax(-1) == batch.targets)[counted].sum())
            loss = float(losses(logits, batch.targets).sum())
            score = saved[index]["score"]["unchanged"]
            assert (score["right"], score["answers"]) == (right, int(counted.sum()))
            assert score["scored"] == int(batch.scored.sum())
            assert score["loss"] == pytest.approx(loss, rel=ROUNDED)
            text = opened.part("change", "score", index).inner_text()
            accuracy, mean = right / score["answers"], loss / score["scored"]
            assert text == (
                f"Unchanged, on {len(batch.inputs)} stored sequences: accuracy {accuracy:.3f}, "
                f"loss {mean:.3g} nats per step."
            )


@pytest.mark.parametrize("name", ["echo", "variable_delay_echo", "copy", "layers"])
def test_remembered_inputs_equal_those_of_pytorch(name: str, browser: Browser, explorer_page: Pages) -> None:
    page = explorer_page(name)
    batch = stored_batch(page.runs[0]).rows(3, 4)
    step = int(batch.scored[0].nonzero().max())
    with visit(browser, page.file, fragment=f"sequence=3&step={step}") as opened:
        opened.settle()
        saved = opened.numbers("memory")["runs"]
    for numbers, run in zip(saved, page.runs, strict=True):
        network = in_double_precision(run.network)
        by_lag = gradient_by_lag(network, batch)
        np.testing.assert_allclose(numbers["gradient_by_state"], by_lag.flip(0), 1e-5)
        gradient = gradient_by_encoding(network, batch, step)
        size = network.spec.input_size if network.symbol_embedding is None else network.symbol_embedding.embedding_dim
        np.testing.assert_allclose(numbers["gradient_by_input"], gradient[:, :size].norm(dim=-1), 1e-5)
        loss = losses(logits_of(network, batch), batch.targets)[0, step]
        assert numbers["loss"] == pytest.approx(float(loss), rel=1e-6)
        measured, predicted = effect_of_exchange(network, batch, step, gradient)
        np.testing.assert_allclose(numbers["mean_change_of_loss_by_exchange"], measured, 1e-5, 1e-9)
        np.testing.assert_allclose(numbers["change_predicted_by_gradient"], predicted, 1e-5, 1e-9)


def gradient_by_encoding(network: Network, batch: Batch, step: int) -> Tensor:
    """Return the gradient of the loss of a step by the input of the layer at each step, ``(step + 1, features)``."""
    encoded = network.encode(batch.inputs, batch.condition).detach().requires_grad_()
    logits = network.read_out(network.core(encoded)[0], batch.condition)
    torch.autograd.backward(losses(logits, batch.targets)[0, step])
    assert encoded.grad is not None
    return encoded.grad[0, : step + 1]


def effect_of_exchange(network: Network, batch: Batch, step: int, gradient: Tensor) -> tuple[list[float], list[float]]:
    """Return the mean change of the loss of a step when the symbol of each earlier step is replaced by other letters.

    Returns:
        The measured changes, and those that the gradient by the input predicts.
    """
    codec = network.spec.codec
    assert codec is not None
    before = losses(logits_of(network, batch), batch.targets)[0, step]
    encoded = network.encode(batch.inputs, batch.condition)[0]
    measured, predicted = [], []
    for time in range(step + 1):
        others = {codec.index(letter) for letter in codec.letters} - {int(batch.inputs[0, time])}
        changes, slopes = [], []
        for symbol in others:
            inputs = batch.inputs.clone()
            inputs[0, time] = symbol
            changed = losses(logits_of(network, batch._replace(inputs=inputs)), batch.targets)[0, step]
            changes.append(float(changed - before))
            difference = network.encode(inputs, batch.condition)[0, time] - encoded[time]
            slopes.append(float(difference.detach() @ gradient[time]))
        measured.append(sum(changes) / len(changes))
        predicted.append(sum(slopes) / len(slopes))
    return measured, predicted


@pytest.mark.parametrize("name", ["copy", "elman_grammar", "recorded", "adding"])
def test_panels_are_saved_as_pictures_and_numbers(name: str, browser: Browser, explorer_page: Pages) -> None:
    with visit(browser, explorer_page(name).file) as opened:
        opened.settle()
        for panel in PANELS:
            picture = opened.saved(panel, "PNG")
            with Image.open(picture, formats=["PNG"]) as image:
                colours = image.convert("RGB").getcolors(image.width * image.height)
                assert min(image.size) > 100
            assert colours is not None
            assert len(colours) > 5
            numbers = opened.numbers(panel)
            assert numbers["panel"] == panel
            assert [run["name"] for run in numbers["runs"]] == [
                f"{run.task_name}/version_0" for run in explorer_page(name).runs
            ]


def test_page_shows_sequences_that_are_too_long_to_type(browser: Browser, tmp_path: Path) -> None:
    task = Copy("plain", num_symbols=3, alphabet_size=4, delay=1300, val_sequences=5)
    run = small_run(task, TaggerNetwork(partial(Elman, hidden_size=3), task.spec))
    (tmp_path / "page.html").write_text(page_of_runs([run]))
    with visit(browser, tmp_path / "page.html") as opened:
        expect(opened.find("#text")).to_be_hidden()
        assert opened.row("input")[3:] == 1303 * "·"
        opened.find("#step").fill("1304")
        assert opened.numbers("answer")["step"] == 1304


def test_page_marks_only_known_answers_as_wrong(browser: Browser, tmp_path: Path) -> None:
    task = Counting(language="an_bn", max_n=6, val_sequences=8)
    torch.manual_seed(0)
    run = small_run(task, TaggerNetwork(partial(Elman, hidden_size=3), task.spec))
    (tmp_path / "page.html").write_text(page_of_runs([run]))
    batch = stored_batch(run)
    differs = batch.scored & (logits_of(in_double_precision(run.network), batch).argmax(-1) != batch.targets)
    wrong = differs & batch.needs_memory
    sequence = int((wrong.any(1) & (differs & ~wrong).any(1)).nonzero()[0])
    with visit(browser, tmp_path / "page.html") as opened:
        opened.find("#sequence").select_option(str(sequence))
        cells = opened.find("#time-line tr.answer td.wrong")
        marked = cells.evaluate_all("cells => cells.map(cell => Number(cell.dataset.step))")
        assert marked == wrong[sequence].nonzero()[:, 0].tolist()
        right = int(batch.needs_memory[sequence].sum()) - len(marked)
        expect(opened.find("#accuracy")).to_contain_text(f"{right} of {right + len(marked)} answers are right")


def test_losses_of_the_grammar_are_exact(browser: Browser, explorer_page: Pages) -> None:
    text = ELMAN.corpus(3, seed=0)
    with visit(browser, explorer_page("elman_grammar").file) as opened:
        for possible, rest in [(text, ""), (text[:20], "xyz"), (f" {text}", "")]:
            opened.find("#text").fill(possible + rest)
            saved = array(opened.numbers("answer")["runs"][0]["exact_loss"])
            count = len(possible) - 1  # the number of characters that are targets
            np.testing.assert_allclose(saved[:count], -ELMAN.log_probabilities(possible)[1:], ROUNDED, 1e-9)
            assert np.isnan(saved[count:]).all()
            assert len(saved) == len(possible + rest)
