import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from rnn_tasks.callbacks import PredictionWriter
from rnn_tasks.callbacks.prediction_writer import PREDICTIONS
from rnn_tasks.models import LanguageModel, RecurrentModel, SequenceTagger
from rnn_tasks.spec import NOT_SCORED, TaskSpec
from rnn_tasks.tasks import Copy, ElmanGrammar, Task, VariableDelayEcho
from tests.helpers.monitored_runs import ELMAN, trainer


def delays() -> VariableDelayEcho:
    return VariableDelayEcho(max_delay=2, sequence_length=6, alphabet_size=3, test_sequences=7, eval_batch_size=5)


def copy() -> Copy:
    return Copy("plain", num_symbols=3, alphabet_size=4, delay=1, test_sequences=5)


class WithoutStrings(Copy):
    """Copy without a codec."""

    @property
    def spec(self) -> TaskSpec:
        return replace(super().spec, codec=None)


def model_of(task: Task) -> RecurrentModel:
    kind: type[LanguageModel] | type[SequenceTagger] = LanguageModel if task.spec.vocabulary else SequenceTagger
    return kind(ELMAN, task.spec, partial(torch.optim.Adam, lr=0.02))


def predictions(task: Task, model: RecurrentModel, folder: Path) -> list[dict[str, Any]]:
    trainer(PredictionWriter(folder)).predict(model, task)
    return [json.loads(line) for line in (folder / PREDICTIONS).read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("make_task", [delays, copy])
def test_predictions_hold_the_strings_of_every_test_sequence(
    make_task: Callable[[], Task], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = make_task()
    model = model_of(task)
    written = predictions(task, model, tmp_path)
    codec = task.spec.codec
    assert codec is not None
    expected: list[dict[str, Any]] = []
    for batch in task.predict_dataloader():
        for row in range(batch.num_sequences):
            one = batch.selected(torch.tensor([row]))
            answer = model.network(one.inputs, one.condition)[0].argmax(-1)
            answer[one.targets == NOT_SCORED] = NOT_SCORED
            (source,), (target,), (text,) = map(codec.decode, (one.inputs, one.targets, answer))
            expected.append({"input": source, "target": target, "answer": text})
            if one.condition is not None:
                expected[-1]["condition"] = one.condition.item()
    assert written == expected
    assert f"wrote the answers to {len(expected)} sequences to {tmp_path / PREDICTIONS}\n" in capsys.readouterr().out


def test_predictions_on_text_hold_characters(tmp_path: Path) -> None:
    task = ElmanGrammar(
        batch_size=2, sequence_length=6, val_characters=40, test_characters=40, baseline_characters=2000
    )
    written = predictions(task, model_of(task), tmp_path)
    batch = next(iter(task.predict_dataloader()))
    assert task.spec.vocabulary is not None
    assert written[0]["input"] == task.spec.vocabulary.decode(batch.inputs[0].tolist())
    assert written[0]["target"] == task.spec.vocabulary.decode(batch.targets[0].tolist())
    assert len(str(written[0]["answer"])) == batch.inputs.shape[1]


def test_predictions_without_strings_hold_symbols(tmp_path: Path) -> None:
    task = WithoutStrings("plain", num_symbols=3, alphabet_size=4, delay=1, test_sequences=5)
    written = predictions(task, model_of(task), tmp_path)
    batch = next(iter(task.predict_dataloader()))
    assert written[2]["input"] == batch.inputs[2].tolist()
    assert written[2]["target"] == [None if symbol < 0 else symbol for symbol in batch.targets[2].tolist()]
