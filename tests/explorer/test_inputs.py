"""The inputs of explorer pages: typed texts against the task's own conversion, and the fragments of links."""

import json
import random
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

import rnn_tasks.explorer
from rnn_tasks.cores import Elman
from rnn_tasks.explorer.sequences import validation_sequences
from rnn_tasks.networks import LanguageNetwork, TaggerNetwork
from rnn_tasks.spec import NOT_SCORED, Codec
from rnn_tasks.tasks import (
    Adding,
    Automaton,
    Copy,
    Dyck,
    Echo,
    ElmanXor,
    FlipFlop,
    FlipFlopBits,
    GeneratedTask,
    Recall,
    Reverse,
    Text,
    VariableDelayEcho,
)
from tests.helpers.explorer_runs import data_of, small_run
from tests.helpers.node import run_node

pytestmark = pytest.mark.slow

TASKS: dict[str, GeneratedTask] = {
    "echo": Echo(delay=3, sequence_length=9, min_eval_length=5, max_eval_length=9, alphabet_size=5),
    "variable_delay_echo": VariableDelayEcho(max_delay=4, sequence_length=9, alphabet_size=5),
    "plain copy": Copy("plain", num_symbols=3, alphabet_size=4, delay=5),
    "arjovsky copy": Copy("arjovsky", num_symbols=4, alphabet_size=4, delay=5, min_delay=2),
    "exprnn copy": Copy("exprnn", num_symbols=3, alphabet_size=4, delay=3),
    "recall copy": Copy("recall", num_symbols=3, alphabet_size=4, delay=5, min_delay=2),
}

OTHER_TASKS: dict[str, GeneratedTask] = {
    "parity": Automaton(language="parity"),
    "cycle at every step": Automaton(language="cycle", answer="every_step"),
    "recall": Recall(pairs=3),
    "flip_flop": FlipFlop(),
    "dyck": Dyck(),
    "reverse": Reverse(),
    "elman_xor": ElmanXor(),
}
"""Tasks whose answers are not the letters themselves."""

DEFAULTS: dict[str, Any] = {
    "text": "abc",
    "delay": 2,
    "sequence": None,
    "changes": [],
    "step": 3,
    "runs": [
        {
            "moment": 2,
            "part": "layer 1 hidden",
            "unit": 0,
            "order": "index",
            "lag": 1,
            "group": "",
            "block": "weight_hh_l0/update",
            "edits": {
                "units": {},
                "gates": {},
                "connections": {},
                "scale": {},
                "noise": {"level": 0, "seed": 1},
                "reset": [],
            },
        }
    ]
    * 2,
}
"""What a page of two networks shows first."""

LIMITS: dict[str, Any] = {
    "canType": True,
    "steps": 1200,
    "sequences": 200,
    "features": 2,
    "delay": [1, 5],
    "runs": [
        {
            "moments": 3,
            "parts": ["layer 1 hidden", "layer0/update"],
            "units": 10,
            "orders": ["index", "variance"],
            "blocks": ["weight_hh_l0/update", "weight_hh_l0/new", "diagonal"],
            "matrices": ["weight_hh_l0/update", "weight_hh_l0/new"],
            "gates": ["layer0/update", "layer0/new"],
            "hidden": 10,
            "stateSize": 20,
        }
    ]
    * 2,
}
"""What that page can show."""

EDITS: dict[str, Any] = {
    "units": {"0": 0, "19": -0.25},
    "gates": {"layer0/update": 1, "layer0/new/9": 0.5},
    "connections": {"weight_hh_l0/new": [[0, 9], [9, 0]]},
    "scale": {"weight_hh_l0/update": 0.9},
    "noise": {"level": 0.1, "seed": 3},
    "reset": [0, 7],
}
"""A change of each kind."""


def inputs(call: str, data: Any) -> Any:
    """Return the value of a JavaScript expression about ``Inputs`` and ``data``."""
    file = Path(rnn_tasks.explorer.__file__).with_name("inputs.js")
    script = f"const Inputs = require({json.dumps(str(file))});\nprocess.stdout.write(JSON.stringify({call}));"
    return run_node(script, data)


def encoded(strings: dict[str, Any], typed: Sequence[tuple[str, int]]) -> list[dict[str, Any]]:
    """Return what a page makes of typed texts with their delays."""
    call = "data.typed.map(([text, delay]) => Inputs.encode(data.strings, text, delay))"
    found: list[dict[str, Any]] = inputs(call, {"strings": strings, "typed": typed})
    return found


def strings_of(task: GeneratedTask) -> dict[str, Any]:
    """Return the part of the data of a page that says how texts become symbols."""
    network = TaggerNetwork(partial(Elman, hidden_size=3), task.spec)
    strings: dict[str, Any] = data_of(small_run(task, network))["task"]["strings"]
    return strings


def codec_of(task: GeneratedTask) -> Codec:
    """Return the task's conversion of texts to symbols."""
    assert task.spec.codec is not None
    return task.spec.codec


@pytest.mark.parametrize("name", TASKS)
def test_typed_texts_are_encoded_as_by_the_codec(name: str) -> None:
    codec, draw = codec_of(TASKS[name]), random.Random(0)
    typed = [
        ("".join(draw.choices(codec.letters, k=length)), draw.randint(codec.min_delay, codec.max_delay))
        for length in (1, 2, codec.num_letters or 3, 7, 40)
    ]
    for (text, delay), found in zip(typed, encoded(strings_of(TASKS[name]), typed), strict=True):
        batch = codec.encode([text], delay)
        assert found["values"] == batch.inputs[0].tolist()
        assert found["memory"] == (batch.targets[0] != NOT_SCORED).int().tolist()
        assert found["condition"] == (delay if codec.conditional else None)
        has_answer = bool(batch.scored.any())
        assert ("ends before the first answer" in found["note"]) != has_answer
        assert ("Trained on strings of" in found["note"]) == (has_answer and codec.num_letters not in (0, len(text)))


@pytest.mark.parametrize("name", TASKS)
def test_typed_letters_of_a_sequence_ask_for_its_targets(name: str) -> None:
    codec = codec_of(TASKS[name])
    batch = validation_sequences(TASKS[name]).batch.rows(0, 40)
    counted = batch.scored if batch.memory is None else batch.memory
    letters = torch.tensor([codec.index(letter) for letter in codec.letters])
    typed = []
    for symbols, steps in zip(batch.inputs, counted, strict=True):
        count = int(torch.isin(symbols, letters).int().cumprod(0).sum())
        text = "".join(codec.symbols[symbol] for symbol in symbols[:count].tolist())
        typed.append((text, int(steps.nonzero()[0]) - codec.answer_per_letter * count))
    for index, found in enumerate(encoded(strings_of(TASKS[name]), typed)):
        steps = len(found["values"])  # the rest is padding
        assert found["values"] == batch.inputs[index, :steps].tolist()
        assert found["targets"] == batch.targets[index].where(counted[index], NOT_SCORED)[:steps].tolist()


@pytest.mark.parametrize("name", OTHER_TASKS)
def test_answers_to_typed_texts_are_due_as_in_the_codec(name: str) -> None:
    codec, draw = codec_of(OTHER_TASKS[name]), random.Random(0)
    typed = [("".join(draw.choices(codec.letters, k=length)), 0) for length in (1, 2, 7, 40)]
    typed.append((codec.sample or codec.letters, 0))
    for (text, _), found in zip(typed, encoded(strings_of(OTHER_TASKS[name]), typed), strict=True):
        batch = codec.encode([text])
        assert found["values"] == batch.inputs[0].tolist()
        assert found["due"] == batch.scored[0].int().tolist()
        assert ("No answer is due" in found["note"]) != bool(batch.scored.any())
        following = [*found["values"][1:], NOT_SCORED]
        assert found["targets"] == (following if name == "elman_xor" else [NOT_SCORED] * len(following))
        assert found["memory"] == [int(target != NOT_SCORED) for target in found["targets"]]


def stored(task: GeneratedTask, changes: Sequence[Any] = ()) -> list[dict[str, Any]]:
    """Return the first stored sequences of a task as a page shows them."""
    batch = validation_sequences(task).batch.rows(0, 8)

    def flat(values: torch.Tensor) -> list[Any]:
        return [None if value != value else value for value in values.flatten().tolist()]

    data = {
        "time": batch.targets.shape[1],
        "features": task.spec.input_size if task.spec.real_inputs else None,
        "outputs": task.spec.output_size if task.spec.real_targets else None,
        "inputs": flat(batch.inputs),
        "targets": flat(batch.targets),
        "memory": batch.needs_memory.flatten().int().tolist(),
        "conditions": None,
    }
    typed = "(values) => Float64Array.from(values, (value) => value ?? NaN)"
    call = f"""(() => {{
        const array = {typed};
        const {{ inputs, targets, memory }} = data.sequences;
        const arrays = {{ inputs: array(inputs), targets: array(targets), memory: array(memory) }};
        const sequences = {{ ...data.sequences, ...arrays }};
        return [0, 1, 2, 3, 4, 5, 6, 7].map((index) => Inputs.stored(sequences, index, data.changes));
    }})()"""
    found: list[dict[str, Any]] = inputs(call, {"sequences": data, "changes": changes})
    return found


def test_stored_sequences_end_at_their_last_scored_step() -> None:
    task = OTHER_TASKS["parity"]
    batch = validation_sequences(task).batch
    lengths = [int(row.nonzero().max()) + 1 for row in batch.scored[:8]]
    assert len(set(lengths)) > 1
    for index, found in enumerate(stored(task)):
        assert found["values"] == batch.inputs[index, : lengths[index]].tolist()
        assert found["targets"] == batch.targets[index, : lengths[index]].tolist()
        assert found["due"] == batch.scored[index, : lengths[index]].int().tolist()


@pytest.mark.parametrize("task", [Adding(length=9), FlipFlopBits()], ids=lambda task: task.name)
def test_stored_real_numbers_are_lists(task: GeneratedTask) -> None:
    batch = validation_sequences(task).batch
    for index, found in enumerate(stored(task)):
        assert found["values"] == batch.inputs[index].tolist()
        expected = [
            target.tolist() if scored else NOT_SCORED
            for target, scored in zip(batch.targets[index], batch.scored[index], strict=True)
        ]
        assert found["targets"] == expected
        assert found["due"] == found["memory"] == batch.scored[index].int().tolist()
        assert found["note"] == ""


def test_stored_real_numbers_can_be_changed() -> None:
    task = Adding(length=9)
    before, after = stored(task)[2], stored(task, [[4, 1, 0.5], [0, 0, -2], [9, 0, 7]])[2]
    expected = before["values"]
    expected[4][1], expected[0][0] = 0.5, -2
    assert after["values"] == expected
    assert after["targets"] == before["targets"]
    assert "The input is changed" in after["note"]


def test_text_is_its_own_target_one_step_later(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("to be or not to be " * 100)
    task = Text(str(tmp_path / "text.txt"), batch_size=2, sequence_length=8)
    task.setup("fit")
    network = LanguageNetwork(partial(Elman, hidden_size=3), task.spec)
    strings = data_of(small_run(task, network))["task"]["strings"]
    found, with_capitals, known = encoded(strings, [("1 not ber😀", 0), ("NOT TO", 0), ("not to", 0)])
    assert task.spec.vocabulary is not None
    symbols = task.spec.vocabulary.encode("1 not ber😀").tolist()
    assert (symbols[0], symbols[-1]) == (0, 0)  # unknown characters
    assert (found["values"], found["targets"]) == (symbols, [*symbols[1:], NOT_SCORED])
    assert (found["memory"], found["condition"]) == ([1] * 9 + [0], None)
    assert "2 characters are unknown" in found["note"]
    assert "capital" in with_capitals["note"]
    assert with_capitals | {"note": ""} == known


def test_invalid_texts_are_refused_with_a_reason() -> None:
    strings = strings_of(TASKS["recall copy"])
    empty, unknown, long, longest = encoded(strings, [("", 2), ("0:", 2), ("0" * 600, 2), ("0" * 599, 2)])
    assert empty == {"error": "Type at least one letter."}
    assert unknown == {"error": "“:” is not a letter of this task. Letters: 0123"}
    assert long == {"error": "At most 1200 steps can be typed."}  # 600 letters, 2 blanks, 600 markers
    assert len(longest["values"]) == 1200
    [cue] = encoded(strings_of(Copy("recall", num_symbols=3, delay=1500)), [("012", 1500)])
    assert cue == {"error": "At most 1200 steps can be typed."}


def views() -> list[dict[str, Any]]:
    """Return views of a page that differ from the first one in one value each, and one in all values."""
    first, second = DEFAULTS["runs"]
    shared: dict[str, Any] = {"text": "a&b=#%+ é😀\u2028\"'</script>", "delay": 5, "sequence": 199, "step": 0}
    shared["changes"] = [[0, 1, -0.5], [1199, 0, 2]]
    own: dict[str, Any] = {"moment": 0, "part": "layer0/update", "unit": 9, "order": "variance", "lag": 4}
    own |= {"group": "aeiou &+", "block": "weight_hh_l0/new", "edits": EDITS}
    changed = [DEFAULTS | {name: value} for name, value in shared.items()]
    changed += [DEFAULTS | {"runs": [first, second | {name: value}]} for name, value in own.items()]
    return [DEFAULTS, *changed, DEFAULTS | shared | {"runs": [first | own, second | own]}]


def test_views_survive_their_fragments() -> None:
    data = {"views": views(), "defaults": DEFAULTS, "limits": LIMITS}
    fragments = inputs("data.views.map((view) => Inputs.toFragment(view, data.defaults))", data)
    assert fragments[0] == ""
    assert len(set(fragments)) == len(fragments)
    assert all(fragment.isascii() and fragment.isprintable() and " " not in fragment for fragment in fragments)
    data["fragments"] = fragments
    call = "data.fragments.map((fragment) => Inputs.fromFragment(fragment, data.defaults, data.limits))"
    assert inputs(call, data) == views()


INVALID: dict[str, list[Any]] = {
    "text": [7, None, [], {}, "x" * 1201],
    "delay": [0, 6, "2", 2.5, None, [2], 1e300],
    "sequence": [-1, 200, "1", True, [], 0.5],
    "changes": [None, {}, 1, [1], [[0, 0]], [[-1, 0, 1]], [[1200, 0, 1]], [[0, 2, 1]], [[0, 0, "1"]], [[0, 0, None]],
                [[0, 0, 1]] * 2001],
    "step": [-1, 1201, "1", None, {}],
    "moment": [-1, 3, None, "0"],
    "part": ["layer 2 hidden", "__proto__", 0, None, ["layer0/update"]],
    "unit": [-1, 10, "1", 1.5],
    "order": ["cut", "toString", 1, None],
    "lag": [-1, 1e9, "1"],
    "group": [1, None, "x" * 101, []],
    "block": ["weight_hh_l0", "constructor", None],
    "edits": [None, [], {}, "x", 1, EDITS | {"more": 1}, {"units": {}}],
    "units": [None, [], "x", {"20": 0}, {"-1": 0}, {"x": 0}, {"1e0": 0}, {"0": "1"}, {"0": None}, {"0": [1]}],
    "gates": [None, [1], {"layer0/reset": 1}, {"layer0/new/10": 1}, {"layer0/new/": 1}, {"layer0/new": "1"}],
    "connections": [None, {"x": []}, {"diagonal": [[0, 1]]}, *({"weight_hh_l0/new": pairs} for pairs in
                    ([[0]], [[0, 10]], [[0, 1.5]], [["0", 1]], [0, 1], "01", None, [[0, 1]] * 2001))],
    "scale": [None, {"x": 1}, {"weight_hh_l0/new": "1"}, {"weight_hh_l0/new": None}, [0.5]],
    "noise": [None, {}, {"level": 1}, {"level": -1, "seed": 1}, {"level": "1", "seed": 1},
              {"level": 1, "seed": 1, "more": 1}],
    "reset": [None, {}, "1", [-1], [0.5], ["1"], [[1]], list(range(2001))],
}  # fmt: skip
"""Values of a fragment, and parts of its edits, that are not valid."""


def test_invalid_values_of_fragments_are_ignored() -> None:
    fragments = []
    for name, values in INVALID.items():
        for value in values:
            if name in EDITS:
                content: Any = {"edits": EDITS | {name: value}}
            else:
                content = {name: value}
            key = name if name in DEFAULTS else f"1.{next(iter(content))}"
            fragments.append([key, json.dumps(next(iter(content.values())))])
    call = (
        "data.fragments.map((pair) => "
        "Inputs.fromFragment(new URLSearchParams([pair]).toString(), data.defaults, data.limits))"
    )
    found = inputs(call, {"fragments": fragments, "defaults": DEFAULTS, "limits": LIMITS})
    for (name, value), view in zip(fragments, found, strict=True):
        assert view == DEFAULTS, (name, value[:80])


def test_invalid_fragments_are_ignored() -> None:
    fragments = [
        "&&==&%&",
        "text=abc",
        "text={",
        "0.edits=" + "[" * 100_000,
        "__proto__=1&constructor=2",
        "text=%FF%00",
    ]
    fragments += ["9.unit=1", "2.edits={}", "runs=[]", "x" * 1_000_000, "step=1e", "step=NaN", "0.__proto__={}"]
    call = "data.fragments.map((fragment) => Inputs.fromFragment(fragment, data.defaults, data.limits))"
    found = inputs(call, {"fragments": fragments, "defaults": DEFAULTS, "limits": LIMITS})
    assert found == [DEFAULTS] * len(fragments)


def test_edits_are_counted() -> None:
    none, all_kinds = inputs("data.map(Inputs.countEdits)", [DEFAULTS["runs"][0]["edits"], EDITS])
    assert none == 0
    assert all_kinds == 2 + 2 + 2 + 1 + 1 + 2
    remains = EDITS | {"connections": {"weight_hh_l0/new": []}, "scale": {"weight_hh_l0/new": 1}}
    assert inputs("Inputs.withoutRemains(data)", remains) == EDITS | {"connections": {}, "scale": {}}
    assert inputs("Inputs.noEdits()", None) == DEFAULTS["runs"][0]["edits"]
