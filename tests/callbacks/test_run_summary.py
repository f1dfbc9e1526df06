import json
import math

import pytest

from rnn_tasks.callbacks.run_summary import baseline_values
from rnn_tasks.runs.files import is_baseline
from rnn_tasks.tasks import Copy, Echo, ElmanGrammar
from tests.helpers.real_task import RecallValue


def test_baseline_values_of_symbols_are_known() -> None:
    values = baseline_values(Echo())
    assert values == {"loss": pytest.approx(math.log(26)), "accuracy": pytest.approx(1 / 26), "unit": "nats per step"}
    assert "perplexity" in baseline_values(ElmanGrammar(num_sentences=400, test_characters=2000))


def test_baseline_values_of_real_values_have_plateaus() -> None:
    values = baseline_values(RecallValue(eval_lengths=[9, 20]))
    plateau = {"name": "knows which half", "loss": 1 / 48, "kind": "plateau"}
    of_length = {"loss": 1 / 12, "unit": "mean squared error", "plateaus": [plateau]}
    assert values == {**of_length, "by_length": {"9": of_length, "20": of_length}}


@pytest.mark.parametrize("task", [Copy(), RecallValue(eval_lengths=[9]), RecallValue(is_symbol=True)])
def test_baseline_values_are_valid_json(task: Copy | RecallValue) -> None:
    values = json.loads(json.dumps(baseline_values(task), allow_nan=False))
    assert is_baseline(values)
    assert not is_baseline({**values, "plateaus": [{"name": 1}]})
    assert not is_baseline({**values, "by_length": {"x": values}})
    assert not is_baseline({**values, "by_length": [values]})
    assert not is_baseline({**values, "by_length": {"9": {"loss": 1.0, "accuracy": 0.5, "unit": "metres"}}})
