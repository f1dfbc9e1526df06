import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.feature_selection import f_classif

import rnn_tasks
from rnn_tasks.errors import UsageError
from rnn_tasks.texts.grammar import ELMAN
from tests.helpers.node import run_node

pytestmark = pytest.mark.slow  # Node is another process

Numbers = NDArray[np.float64]

FILE = Path(rnn_tasks.__file__).parent / "explorer" / "statistics.js"


def evaluate(expression: str, **data: object) -> Any:
    """Return the value of a JavaScript expression that uses ``Statistics`` and ``data``, with arrays as lists."""
    script = f"""
    const Statistics = require({json.dumps(str(FILE))});
    const plain = (_, value) => (ArrayBuffer.isView(value) ? Array.from(value) : value);
    console.log(JSON.stringify({expression}, plain));
    """
    return run_node(script, data)


def random_rows(rows: int, columns: int) -> Numbers:
    """Return rows with a few strong directions, a mean and a constant column."""
    rng = np.random.default_rng(rows)
    values = rng.normal(size=(rows, 4)) * [5, 3, 2, 1] @ rng.normal(size=(4, columns))
    values += 0.1 * rng.normal(size=(rows, columns)) + rng.normal(size=columns)
    values[:, 1] = 0.3
    return values


def random_texts(count: int) -> list[str]:
    """Return texts that start with a sentence or a space; in every second text one character is another."""
    rng = np.random.default_rng(0)
    texts = ["", " ", "  ", "x"]
    for number in range(count):
        text = " " * (number % 3 == 0) + ELMAN.corpus(3, number) + " "
        text = text[: rng.integers(1, len(text) + 1)]
        if number % 2:
            position = rng.integers(len(text))
            text = text[:position] + rng.choice(list(ELMAN.characters + "xA")) + text[position + 1 :]
        texts.append(text)
    return texts


def none_if_impossible(function: Callable[[str], Any], text: str) -> Any:
    try:
        return function(text)
    except UsageError:
        return None


def evaluate_grammar(function: str, texts: list[str]) -> Any:
    """Return the results of a function of a grammar; the sentences are given in another order than they have."""
    expression = f"""(() => {{
        const grammar = Statistics.grammar(data.grammar);
        return data.texts.map((text) => Statistics.{function}(grammar, text));
    }})()"""
    grammar = {"sentences": ELMAN.sentences[::-1], "probabilities": ELMAN.probabilities[::-1].tolist()}
    return evaluate(expression, grammar=grammar, texts=texts)


def test_next_characters_have_the_odds_of_the_grammar() -> None:
    texts = random_texts(400)
    expected = [none_if_impossible(ELMAN.next_character, text) for text in texts]
    assert 100 < expected.count(None) < 300
    for odds, reference in zip(evaluate_grammar("grammarOdds", texts), expected, strict=True):
        assert odds == (None if reference is None else pytest.approx(reference, rel=1e-12))


def test_characters_have_the_log_probabilities_of_the_grammar() -> None:
    texts = random_texts(200)
    num_impossible = 0
    for text, logs in zip(texts, evaluate_grammar("logProbabilities", texts), strict=True):
        possible = [
            end for end in range(len(text) + 1) if none_if_impossible(ELMAN.log_probabilities, text[:end]) is not None
        ]
        reference = ELMAN.log_probabilities(text[: possible[-1]])
        assert len(logs) == len(text)
        assert logs[: len(reference)] == pytest.approx(reference.tolist(), abs=1e-12)
        assert logs[len(reference) :] == [None] * (len(text) - len(reference))
        num_impossible += len(reference) < len(text)
    assert num_impossible > 50


@pytest.mark.parametrize(("rows", "columns"), [(300, 24), (30, 80)])
def test_principal_components_are_those_of_scikit_learn(rows: int, columns: int) -> None:
    values = random_rows(rows, columns)
    expression = """(() => {
        const components = Statistics.principalComponents(data.rows, data.rows[0].length, 3);
        return {...components, projected: data.rows.map((row) => Statistics.project(row, components))};
    })()"""
    result = evaluate(expression, rows=values.tolist())
    pca = PCA(3, svd_solver="full")
    projected = pca.fit_transform(values)
    signs = np.sign([axis[np.abs(axis).argmax()] for axis in pca.components_])
    np.testing.assert_allclose(result["mean"], values.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(result["axes"], signs[:, None] * pca.components_, atol=1e-6)
    np.testing.assert_allclose(result["shares"], pca.explained_variance_ratio_, atol=1e-9)
    np.testing.assert_allclose(result["projected"], signs * projected, atol=1e-5)


def test_principal_components_are_zero_without_variance() -> None:
    line = [[2.0 * step, 1.0, -step] for step in range(8)]
    constant = [[1.0, 2.0]] * 5
    one_column = [[1.0], [3.0]]
    expression = "data.cases.map((rows) => Statistics.principalComponents(rows, rows[0].length))"
    for_line, for_constant, for_one_column = evaluate(expression, cases=[line, constant, one_column])
    np.testing.assert_allclose(for_line["axes"], [np.array([2, 0, -1]) / 5**0.5, np.zeros(3)], atol=1e-12)
    assert for_line["shares"] == pytest.approx([1, 0])
    assert (for_constant["axes"], for_constant["shares"]) == ([[0, 0], [0, 0]], [0, 0])
    assert (for_one_column["axes"], for_one_column["shares"]) == ([[1], [0]], [1, 0])


def test_variance_is_that_of_numpy() -> None:
    values = random_rows(50, 6)
    result = evaluate("Statistics.variance(data.rows, 6)", rows=values.tolist())
    np.testing.assert_allclose(result, values.var(axis=0), rtol=1e-12, atol=1e-24)


def test_correlation_ratio_agrees_with_the_f_test() -> None:
    values = random_rows(90, 6)
    classes = np.random.default_rng(1).integers(-1, 4, size=90)
    values += 2 * classes[:, None] * (np.arange(6) == 3)
    values[:, 4] = classes
    result = evaluate(
        "Statistics.correlationRatio(data.rows, 6, data.classes)", rows=values.tolist(), classes=classes.tolist()
    )
    used, varying = classes >= 0, [0, 2, 3, 5]
    statistic, _ = f_classif(values[used][:, varying], classes[used])
    between, within = 3 * statistic, used.sum() - 4
    np.testing.assert_allclose(np.array(result)[varying], np.sqrt(between / (between + within)), rtol=1e-9)
    assert result[1] == 0  # constant
    assert result[4] == pytest.approx(1)  # determined by the class


def test_correlation_equals_that_of_numpy() -> None:
    values = random_rows(90, 6)
    other = np.random.default_rng(2).normal(size=90) + values[:, 3]
    given = [None if step % 9 == 0 else number for step, number in enumerate(other.tolist())]
    expression = "Statistics.correlation(data.rows, 6, data.values.map((value) => value ?? NaN))"
    result = evaluate(expression, rows=values.tolist(), values=given)
    used = np.arange(90) % 9 != 0
    varying = [0, 2, 3, 4, 5]
    expected = [np.corrcoef(values[used, column], other[used])[0, 1] for column in varying]
    np.testing.assert_allclose(np.array(result)[varying], expected, rtol=1e-9)
    assert result[1] == 0  # constant
    assert evaluate("Statistics.correlation([[1], [2]], 1, [3, 3])") == [0]


def test_mean_change_is_the_mean_over_steps_of_a_symbol() -> None:
    rng = np.random.default_rng(2)
    states, symbols = rng.normal(size=(5, 7, 3)), rng.integers(0, 3, size=(5, 7))
    symbols[:, 0] = 3  # only at the first step, which is not counted
    expression = "Statistics.meanChange(data.states, data.symbols, 3, 4)"
    result = evaluate(expression, states=states.tolist(), symbols=symbols.tolist())
    changes = np.diff(states, axis=1)
    for symbol in range(3):
        read = symbols[:, 1:] == symbol
        np.testing.assert_allclose(result["mean"][symbol], changes[read].mean(axis=0), atol=1e-12)
        assert result["count"][symbol] == read.sum()
    assert (result["mean"][3], result["count"][3]) == ([0, 0, 0], 0)


def mulberry32(seed: int, count: int) -> list[float]:
    numbers = []
    for step in range(1, count + 1):
        state = (seed + step * 0x6D2B79F5) % 2**32
        mixed = (state ^ state >> 15) * (state | 1) % 2**32
        mixed ^= (mixed + (mixed ^ mixed >> 7) * (mixed | 61)) % 2**32
        numbers.append((mixed ^ mixed >> 14) / 2**32)
    return numbers


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
def test_random_numbers_are_those_of_mulberry32(seed: int) -> None:
    numbers = evaluate("Array.from({length: 1000}, Statistics.random(data.seed))", seed=seed)
    assert numbers == mulberry32(seed, 1000)
    assert np.mean(numbers) == pytest.approx(0.5, abs=0.05)
