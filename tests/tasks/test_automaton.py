import itertools
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import get_args

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from rnn_tasks.errors import UsageError
from rnn_tasks.spec import NOT_SCORED, Batch
from rnn_tasks.tasks import Automaton
from rnn_tasks.tasks.automaton import AnswerName, automaton, draw_strings
from rnn_tasks.tasks.machines import MACHINES, LanguageName
from tests.helpers.predictors import check_score

LANGUAGES: tuple[LanguageName, ...] = get_args(LanguageName)
ANSWERS: tuple[AnswerName, ...] = get_args(AnswerName)
DIAGRAMS: list[tuple[LanguageName, AnswerName, str, str]] = [
    ("parity", "end", "1011=", "....1"),
    ("parity", "every_step", "1011", "1101"),
    ("modular", "end", "2+3*4=", ".....4"),
    ("modular", "every_step", "2+3*4", "2.0.4"),
]
KNOWN = {
    "knows nothing": None,
    "knows only the number of symbols": 0,
    "knows only the first symbol": 1,
    "knows only the latest symbol": 2,
}
"""The dimension of the table of :func:`listed_counts` that a predictor knows."""


def left_to_right(text: str) -> int:
    """Return the value of an expression without precedence."""
    value = int(text[0])
    for operator, digit in zip(text[1::2], text[2::2], strict=True):
        value = eval(f"({value}) {operator} {digit}")
    return value


def has_odd_zeros_after_odd_ones(text: str) -> bool:
    """Return whether an odd run of ones comes before an odd run of zeros."""
    odd_runs = "".join(symbol for symbol, run in itertools.groupby(text) if len(list(run)) % 2)
    return "1" in odd_runs and "0" in odd_runs[odd_runs.index("1") :]


DEFINITIONS: dict[LanguageName, Callable[[str], object]] = {
    "parity": lambda text: text.count("1") % 2,
    "even_pairs": lambda text: (len(re.findall("0(?=1)", text)) + len(re.findall("1(?=0)", text))) % 2,
    "cycle": lambda text: (text.count("r") - text.count("l")) % 5,
    "modular": lambda text: eval(text) % 5,
    "modular_left_to_right": lambda text: left_to_right(text) % 5,
    "tomita_1": lambda text: "ny"[re.fullmatch("1*", text) is not None],
    "tomita_2": lambda text: "ny"[re.fullmatch("(10)*", text) is not None],
    "tomita_3": lambda text: "yn"[has_odd_zeros_after_odd_ones(text)],
    "tomita_4": lambda text: "yn"["000" in text],
    "tomita_5": lambda text: "ny"[text.count("0") % 2 == text.count("1") % 2 == 0],
    "tomita_6": lambda text: "ny"[(text.count("0") - text.count("1")) % 3 == 0],
    "tomita_7": lambda text: "ny"[re.fullmatch("0*1*0*1*", text) is not None],
}


def is_due(language: LanguageName, text: str) -> bool:
    """Return whether an answer is due after a text: not after an operator."""
    return not language.startswith("modular") or text[-1].isdigit()


def strings(language: LanguageName, length: int) -> Iterator[str]:
    """Return all strings of a language and a length."""
    symbols: list[str] = [MACHINES[language].letters] * length
    if language.startswith("modular"):
        symbols = ["01234" if step % 2 == 0 else "+-*" for step in range(length)]
    return map("".join, itertools.product(*symbols))


def weighted_prefixes(task: Automaton) -> Iterator[tuple[str, float]]:
    """Return all symbols before an answer of a task with their probabilities, from a list of all strings."""
    for length in task.lengths:
        all_strings = list(strings(task.language, length))
        classes = Counter(str(DEFINITIONS[task.language](text)) for text in all_strings)
        for text in all_strings:
            weight = 1 / len(all_strings)
            if task.language.startswith("tomita"):
                weight = 1 / len(classes) / classes[str(DEFINITIONS[task.language](text))]
            if task.answer == "end":
                yield text, weight / len(task.lengths)
            else:
                for read in range(1, length + 1):
                    if is_due(task.language, text[:read]):
                        yield text[:read], weight / len(task.lengths)


def listed_counts(task: Automaton) -> Tensor:
    """Return how often each answer is due, ``(longest + 1, first symbols, latest symbols, answers)``."""
    letters, outputs = task.machine.letters, task.machine.outputs
    counts = torch.zeros(task.lengths[-1] + 1, len(letters), len(letters), len(outputs), dtype=torch.float64)
    for prefix, weight in weighted_prefixes(task):
        answer = outputs.index(str(DEFINITIONS[task.language](prefix)))
        counts[len(prefix), letters.index(prefix[0]), letters.index(prefix[-1]), answer] += weight
    return counts


def summed(counts: Tensor, known: int | None) -> Tensor:
    """Return the counts, equal for all values of what a predictor does not know, in the shape of the counts."""
    return counts.sum([dim for dim in range(3) if dim != known], keepdim=True).expand_as(counts)


def expected_score(task: Automaton, known: int | None) -> tuple[float, float]:
    """Return loss and accuracy of the best predictor, from a list of all strings."""
    counts = listed_counts(task)
    answers = summed(counts, known)
    loss = -(counts * (answers / answers.sum(-1, keepdim=True)).log().nan_to_num(neginf=0)).sum() / counts.sum()
    counts[: task.memory_from] = 0
    best = summed(counts, known).argmax(-1, keepdim=True)
    return loss.item(), (counts.gather(-1, best).sum() / counts.sum()).item()


def predictor(task: Automaton, known: int | None, shortest: int) -> Callable[[Batch], Tensor]:
    """Return the best predictor, which looks up the share of each answer in a list of all strings."""
    counts = listed_counts(task)
    counts[:shortest] = 0
    table = summed(counts, known)

    def predict(batch: Batch) -> Tensor:
        assert batch.group is not None
        read = batch.group.expand_as(batch.inputs)
        letters = batch.inputs.clamp(max=len(task.machine.letters) - 1)
        return functional.normalize(table[read, letters[:, :1], letters.gather(1, read - 1)], p=1, dim=-1)

    return predict


def scores(task: Automaton) -> dict[str, tuple[float | None, float | None]]:
    """Return the scores of the baseline and of the plateaus."""
    plateaus = {plateau.name: (plateau.loss, plateau.accuracy) for plateau in task.plateaus}
    return {"knows nothing": (task.baseline.loss, task.baseline.accuracy)} | plateaus


@pytest.mark.parametrize(("language", "answer", "inputs", "targets"), DIAGRAMS)
def test_automaton_equals_its_diagrams(language: LanguageName, answer: AnswerName, inputs: str, targets: str) -> None:
    codec = Automaton(language, answer).spec.codec
    assert codec is not None
    text = inputs.rstrip("=")
    symbols = torch.tensor([[codec.symbols.index(letter) for letter in text]])
    batch = Batch(*automaton(MACHINES[language], symbols, torch.tensor([len(text)]), answer))
    assert codec.decode(batch.inputs) == [inputs]
    assert codec.decode_outputs(batch.targets) == [targets.replace(".", " ")]
    for line in (inputs, targets):
        assert " ".join(line) in str(automaton.__doc__)


@pytest.mark.parametrize("language", LANGUAGES)
def test_docstring_example_equals_the_definition(language: LanguageName) -> None:
    row = str(Automaton.__doc__).split(f"``{language}`` ")[1].split("    ``")[0]
    example = re.search(r"(\S+) -> (\S)", row)
    assert example is not None
    assert str(DEFINITIONS[language](example[1])) == example[2]


@pytest.mark.parametrize("language", LANGUAGES)
def test_answers_equal_the_definition_for_all_short_strings(language: LanguageName) -> None:
    machine = MACHINES[language]
    for length in (1, 2, 3, 7) if len(machine.letters) < 8 else (1, 3, 5):
        texts = list(strings(language, length))
        symbols = torch.tensor([[machine.letters.index(letter) for letter in text] for text in texts])
        for text, row in zip(texts, machine.answers_after(symbols).tolist(), strict=True):
            for read, answer in enumerate(row, 1):
                assert (answer != NOT_SCORED) == is_due(language, text[:read])
                if answer != NOT_SCORED:
                    assert machine.outputs[answer] == str(DEFINITIONS[language](text[:read]))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("answer", ANSWERS)
def test_random_sequences_equal_the_definition(language: LanguageName, answer: AnswerName) -> None:
    task = Automaton(language, answer, max_length=23, batch_size=40)
    codec = task.spec.codec
    assert codec is not None
    batch = task.train_batch(0)
    assert batch.group is not None
    lengths = set()
    inputs, targets = codec.decode(batch.inputs), codec.decode_outputs(batch.targets)
    for row, (text, answers) in enumerate(zip(inputs, targets, strict=True)):
        string = text.rstrip(" =")
        lengths.add(len(string))
        if answer == "end":
            assert text == f"{string}=".ljust(batch.inputs.shape[1])
            assert answers == " " * len(string) + str(DEFINITIONS[language](string)) + " " * (
                len(text) - len(string) - 1
            )
            assert batch.group[row].tolist() == [len(string)]
        else:
            prefixes = [string[:read] for read in range(1, len(string) + 1)]
            due = [str(DEFINITIONS[language](p)) if is_due(language, p) else " " for p in prefixes]
            assert answers == "".join(due).ljust(len(text))
            assert batch.group[row].tolist() == list(range(1, len(text) + 1))
    assert lengths <= set(task.lengths)
    assert len(lengths) > len(task.lengths) / 2


@pytest.mark.parametrize("language", ["parity", "modular", "tomita_3", "tomita_7"])
def test_all_strings_of_a_class_are_equally_likely(language: LanguageName) -> None:
    machine, length = MACHINES[language], 5 if language == "modular" else 6
    drawn = draw_strings(machine, torch.full((10_000,), length), 9, torch.Generator().manual_seed(0))
    counts = Counter("".join(machine.letters[symbol] for symbol in row) for row in drawn.tolist())
    by_class: dict[object, list[int]] = defaultdict(list)
    for text in strings(language, length):
        by_class[DEFINITIONS[language](text) if language.startswith("tomita") else None].append(counts.pop(text, 0))
    assert not counts  # no other strings
    for numbers in by_class.values():
        observed = torch.tensor(numbers, dtype=torch.float64)
        expected = 10_000 / len(by_class) / len(numbers)
        chi_square = ((observed - expected).square() / expected).sum().item()
        degrees = len(numbers)
        assert abs(chi_square - degrees) < 5 * math.sqrt(2 * degrees)


def test_length_without_accepted_strings_has_rejected_strings_only() -> None:
    targets = Automaton("tomita_2", min_length=7, max_length=7).train_batch(0).targets
    assert set(targets.flatten().tolist()) == {NOT_SCORED, 0}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize(("shortest", "longest"), [(1, 4), (3, 3)])
def test_scores_equal_those_from_a_list_of_all_strings(
    language: LanguageName, answer: AnswerName, shortest: int, longest: int
) -> None:
    task = Automaton(language, answer, longest, shortest)
    expected = {name: expected_score(task, known) for name, known in KNOWN.items()}
    highest = 0.99 * expected["knows nothing"][0]
    listed = {name: score for name, score in expected.items() if name == "knows nothing" or score[0] < highest}
    found = scores(task)
    assert found.keys() == listed.keys()
    for name, score in listed.items():
        assert found[name] == pytest.approx(score)


@pytest.mark.slow
@pytest.mark.parametrize(("language", "longest"), [("modular", 3), ("tomita_2", 4)])
def test_scores_at_the_end_equal_simulated_ones(language: LanguageName, longest: int) -> None:
    task = Automaton(language, "end", longest)
    for name, (loss, accuracy) in scores(task).items():
        check_score(task, predictor(task, KNOWN[name], 1), loss, accuracy)


@pytest.mark.slow
@pytest.mark.parametrize(("language", "longest"), [("modular_left_to_right", 5), ("tomita_3", 9)])
def test_scores_at_every_step_equal_simulated_ones(language: LanguageName, longest: int) -> None:
    task = Automaton(language, "every_step", longest)
    for name, (loss, accuracy) in scores(task).items():
        check_score(task, predictor(task, KNOWN[name], 1), loss, None)
        check_score(task, predictor(task, KNOWN[name], 2), None, accuracy)


@pytest.mark.parametrize("language", LANGUAGES)
def test_learning_loss_is_95_percent_of_that_without_memory(language: LanguageName) -> None:
    task = Automaton(language, "every_step", max_length=3)
    counts = listed_counts(task)
    first = counts[:2].sum().item()  # these answers cost nothing
    counts[:2] = 0
    answers = summed(counts, 2)
    loss = -(counts * (answers / answers.sum(-1, keepdim=True)).log().nan_to_num(neginf=0)).sum().item()
    assert task.baseline.learning_loss == pytest.approx(0.95 * loss / (first + counts.sum().item()))


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize(("language", "length"), [("parity", 40), ("modular", 31), ("tomita_4", 50)])
def test_at_length_counts_the_last_answer_only(language: LanguageName, length: int, answer: AnswerName) -> None:
    task = Automaton(language, answer).at_length(length)
    batch = task.sample(8, "test", torch.Generator())
    assert batch.group is not None
    assert task.grouping is not None
    assert batch.needs_memory.sum(1).tolist() == [1] * 8
    assert batch.group.expand_as(batch.targets)[batch.needs_memory].tolist() == [length] * 8
    assert task.grouping.size == length + 1
    longest = Automaton(language, "end", length, length).baseline.accuracy
    assert task.baseline.accuracy == pytest.approx(longest)


def test_baseline_of_long_strings_is_exact() -> None:
    assert Automaton("tomita_7", max_length=1500, min_length=1500).baseline.accuracy == pytest.approx(0.5)
    assert Automaton("cycle", max_length=500, min_length=500).baseline.accuracy == pytest.approx(0.2)


def test_one_length_per_batch_pads_no_training_string() -> None:
    task = Automaton("cycle", max_length=30, one_length_per_batch=True)
    widths = set()
    for index in range(5):
        batch = task.train_batch(index)
        widths.add(batch.inputs.shape[1])
        assert batch.targets[:, -1].min() >= 0
    assert len(widths) > 1


def test_evaluation_has_each_length_equally_often() -> None:
    (batch,) = Automaton("modular", max_length=9, test_sequences=100).predict_dataloader()
    assert batch.group is not None
    assert Counter(batch.group.flatten().tolist()) == {1: 20, 3: 20, 5: 20, 7: 20, 9: 20}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("answer", ANSWERS)
def test_encoded_sample_equals_the_task_sequence(language: LanguageName, answer: AnswerName) -> None:
    task = Automaton(language, answer)
    codec = task.spec.codec
    assert codec is not None
    encoded = codec.encode([codec.sample])
    symbols = torch.tensor([[codec.symbols.index(letter) for letter in codec.sample]])
    inputs, targets = automaton(task.machine, symbols, torch.tensor([len(codec.sample)]), answer)
    assert torch.equal(encoded.inputs, inputs)
    assert torch.equal(encoded.scored, targets != NOT_SCORED)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"language": "dyck"}, "language must be one of parity, .*, tomita_7, got dyck"),
        ({"answer": "start"}, "answer must be one of end, every_step, got start"),
        ({"max_length": 0}, "max_length must be at least 1, got 0"),
        ({"min_length": 0}, r"min_length must be in 1\.\.max_length \(20\), got 0"),
        ({"min_length": 21}, r"min_length must be in 1\.\.max_length \(20\), got 21"),
        ({"language": "modular", "min_length": 4, "max_length": 4}, "the strings of modular have odd lengths, got 4"),
        ({"answer": "every_step", "max_length": 1}, "strings must have a second answer"),
        ({"answer": "every_step", "max_length": 2, "language": "modular"}, "strings must have a second answer"),
    ],
)
def test_value_out_of_bounds_raises(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Automaton(**arguments)  # type: ignore[arg-type]


def test_even_length_of_expressions_raises() -> None:
    with pytest.raises(UsageError, match="the strings of modular have odd lengths, got 20"):
        _ = Automaton("modular", eval_lengths=[20]).longer_tests
