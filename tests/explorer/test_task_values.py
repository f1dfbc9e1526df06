import json
import string
from dataclasses import replace
from typing import Any

import pytest

from rnn_tasks.explorer.sequences import validation_sequences
from rnn_tasks.explorer.task_values import printed_symbols, string_values, task_values
from rnn_tasks.explorer.write import json_text
from rnn_tasks.report.json_values import plain
from rnn_tasks.spec import Codec, TaskSpec, Vocabulary
from rnn_tasks.tasks import Adding, Automaton, Copy, Echo, GeneratedTask, Recall
from rnn_tasks.texts.grammar import ELMAN
from tests.helpers.explorer_runs import GENERATED_TASKS, data_of, small_grammar, small_run
from tests.helpers.tasks import GENERATED


def strings_of(spec: TaskSpec) -> dict[str, Any]:
    strings = string_values(spec, None)
    assert strings is not None
    return strings


def test_task_values_of_echo() -> None:
    task = GENERATED_TASKS["echo"]
    values = task_values([small_run(task)], validation_sequences(task))
    assert (values["name"], values["is_text"], values["blank"]) == ("echo", False, 0)
    assert values["input_symbols"] == values["output_symbols"] == ["·", "a", "b", "c", "d"]
    assert values["baseline"] == {"loss": 1.5, "accuracy": 0.25, "name": "chance", "floor": None}
    assert values["grammar"] is None
    assert values["strings"]["answers"] == "letters"


def test_task_values_of_a_text() -> None:
    task = small_grammar()
    values = task_values([small_run(task)], validation_sequences(task))
    assert (values["is_text"], values["blank"]) == (True, None)
    assert values["input_symbols"] == ["□", "␣", *ELMAN.characters[1:]]
    assert values["strings"]["answers"] == "next"
    assert values["strings"]["unknown"] == 0
    letters = dict(zip(values["strings"]["letters"], values["strings"]["letter_symbols"], strict=True))
    assert [letters[character] for character in "the boy"] == task.vocabulary.encode("the boy").tolist()


def test_grammar_values_are_exact() -> None:
    task = small_grammar()
    grammar = task_values([small_run(task)], None)["grammar"]
    assert tuple(grammar["sentences"]) == ELMAN.sentences
    assert grammar["probabilities"] == ELMAN.probabilities.tolist()


@pytest.mark.parametrize("task", GENERATED_TASKS.values(), ids=GENERATED_TASKS.keys())
def test_string_values_encode_as_the_codec_does(task: GeneratedTask) -> None:
    codec = task.spec.codec
    assert codec is not None
    strings = strings_of(task.spec)
    for delay in range(codec.min_delay, codec.max_delay + 1):
        text = codec.letters[:3]
        symbols = [strings["letter_symbols"][strings["letters"].index(letter)] for letter in text]
        for symbol, per_delay, per_letter, constant in strings["cue"]:
            symbols += [symbol] * max(0, per_delay * delay + per_letter * len(text) + constant)
        assert symbols == codec.encode([text], delay).inputs[0].tolist()


@pytest.mark.parametrize("task", GENERATED_TASKS.values(), ids=GENERATED_TASKS.keys())
def test_example_has_an_answer(task: GeneratedTask) -> None:
    codec = task.spec.codec
    assert codec is not None
    strings = strings_of(task.spec)
    assert set(strings["example"]) <= set(codec.letters)
    assert len(strings["example"]) == (codec.num_letters or 20)
    assert codec.min_delay <= strings["example_delay"] <= codec.max_delay
    assert bool(codec.encode([strings["example"]], strings["example_delay"]).scored.any())


def test_example_is_longer_than_the_delay() -> None:
    strings = strings_of(Echo(delay=30, sequence_length=40, min_eval_length=40, max_eval_length=40).spec)
    assert len(strings["example"]) == 33


def test_example_of_a_text_starts_with_a_word_of_it() -> None:
    task = small_grammar()
    strings = string_values(task.spec, validation_sequences(task))
    assert strings is not None
    assert f" {strings['example']}" in f" {task.text('val')}"
    assert strings_of(task.spec)["example"] == task.vocabulary.prefix


def test_answers_are_unknown_without_sequences() -> None:
    assert strings_of(GENERATED_TASKS["echo"].spec)["answers"] is None


def test_task_without_strings_shows_numbers() -> None:
    spec = TaskSpec(input_size=3, output_size=2, blank=2)
    assert string_values(spec, None) is None
    assert printed_symbols(spec) == ["0", "1", "2"]


def test_each_symbol_is_one_printed_character() -> None:
    hostile = "a<&\u2028\ud800\n\x1b\u202e \N{GRINNING FACE}"
    spec = TaskSpec(len(hostile) + 1, len(hostile) + 1, vocabulary=Vocabulary(hostile))
    symbols = printed_symbols(spec)
    assert symbols == ["□", "a", "<", "&", "□", "□", "↵", "□", "□", "␣", "\N{GRINNING FACE}"]
    assert strings_of(spec)["letters"] == list(hostile)


def test_blank_of_copy_is_a_dot_and_never_a_letter() -> None:
    spec = Copy(alphabet_size=10, layout="arjovsky").spec
    assert printed_symbols(spec) == [*string.digits, "·", ":"]
    assert printed_symbols(spec, outputs=True) == [*string.digits, "·"]


def test_outputs_may_have_their_own_characters() -> None:
    task = Automaton(language="cycle", val_sequences=30)
    values, codec = task_values([small_run(task)], None), task.spec.codec
    assert codec is not None
    assert values["output_symbols"] == list(codec.output_symbols) != values["input_symbols"][:5]
    assert values["input_symbols"] == list(codec.symbols.replace(" ", "·"))
    assert printed_symbols(TaskSpec(3, 2, blank=0, codec=Codec(" ab", "ab", output_symbols=" x")), outputs=True) == [
        "·",
        "x",
    ]


def test_task_values_say_where_answers_are_due() -> None:
    codec = Recall(pairs=3).spec.codec
    assert codec is not None
    assert len(codec.answer_at) == 26
    strings = strings_of(Recall(pairs=3).spec)
    assert (strings["answer_at"], strings["not_before"]) == (list(codec.answer_at), list(codec.not_before))
    assert strings["example"] == codec.sample


def test_task_values_of_real_numbers() -> None:
    task = Adding(length=12, val_sequences=30)
    values = task_values([small_run(task, summary={})], validation_sequences(task))
    assert (values["real_inputs"], values["real_targets"]) == (True, True)
    assert (values["input_size"], values["output_size"]) == (2, 1)
    assert (values["input_symbols"], values["output_symbols"], values["strings"]) == ([], [], None)
    assert plain(values["baseline"]) == {"loss": 1 / 6, "accuracy": None, "name": task.baseline.name, "floor": None}
    assert values["plateaus"] == [plateau._asdict() for plateau in task.plateaus]
    assert len(values["plateaus"]) == 1


def test_plateaus_are_those_of_the_summary_without_a_task() -> None:
    task = Adding(length=12, val_sequences=30)
    summary = {"task": "adding", "baseline": {"loss": 0.2, "plateaus": [{"name": "half", "loss": 0.1}]}}
    values = task_values([replace(small_run(task, summary=summary), task=None)], None)
    assert values["plateaus"] == [{"name": "half", "loss": 0.1, "accuracy": None, "kind": "plateau"}]
    assert values["baseline"]["accuracy"] is None


@pytest.mark.parametrize("name", GENERATED)
def test_pages_have_data_of_every_task(name: str) -> None:
    task = GENERATED[name](val_sequences=12, test_sequences=12)
    data = json.loads(json_text(data_of(small_run(task))))
    (run,) = data["runs"]
    assert run["live"]
    assert (data["task"]["strings"] is None) == (task.spec.codec is None)
    assert data["sequences"]["inputs"]["shape"][0] == 12


def test_space_that_is_not_the_blank_is_marked() -> None:
    spec = TaskSpec(3, 3, blank=2, codec=Codec("a -", "a "))
    assert printed_symbols(spec) == ["a", "␣", "-"]


def test_baseline_is_that_of_the_validation() -> None:
    of_val = {"loss": 1.25, "accuracy": 0.5, "name": "4-gram", "floor": 0.375, "perplexity": 3.5}
    run = small_run(small_grammar(), summary={"task": "x", "baseline": {**of_val, "loss": 2.0, "val": of_val}})
    expected = {"loss": 1.25, "accuracy": 0.5, "name": "4-gram", "floor": 0.375}
    assert task_values([run], None)["baseline"] == expected


def test_baseline_is_computed_if_the_summary_has_none() -> None:
    task = small_grammar()
    expected = task.baseline_on("val")
    baseline = task_values([small_run(task, summary={})], None)["baseline"]
    assert baseline == {
        "loss": expected.loss,
        "accuracy": expected.accuracy,
        "name": expected.name,
        "floor": ELMAN.entropy_rate,
    }


def test_baseline_and_grammar_are_null_without_a_task() -> None:
    run = replace(small_run(small_grammar(), summary={}), task=None)
    values = task_values([run], None)
    assert (values["baseline"], values["grammar"]) == (None, None)
    assert values["is_text"]
