"""Write the network's answers on the test sequences."""

import json
import math
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from rnn_tasks.runs.files import write_atomically
from rnn_tasks.spec import NOT_SCORED, Batch, TaskSpec

PREDICTIONS = "predictions.jsonl"


class PredictionWriter(Callback):
    """Writes input, target and answer of each test sequence to ``predictions.jsonl``, and prints the path.

    Each line is a JSON object with ``input``, ``target`` and ``answer``, and with ``condition`` if the task has one,
    such as the delay. The values are strings with one character for each step; ``target`` and ``answer`` have spaces at
    steps that are not scored, and the replacement character stands for a character outside the vocabulary. For a task
    without strings the values are lists of symbols, with null at steps that are not scored. A step with real values is
    a list of numbers, rounded to six digits after the point.

    Args:
        folder: Where to write the file.
    """

    def __init__(self, folder: str | Path = ".") -> None:
        self.folder = Path(folder)
        self.batches: list[list[str]] = []

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.batches = []

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Tensor,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        spec: Any = pl_module.spec
        self.batches.append([json.dumps(record, ensure_ascii=False) for record in records(batch, outputs, spec)])

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        processes: list[Any] = [self.batches]
        if trainer.world_size > 1:  # each process has some rows of each batch
            processes = [None] * trainer.world_size
            torch.distributed.all_gather_object(processes, self.batches)
        self.batches = []
        if trainer.is_global_zero:
            lines = [line for parts in zip_longest(*processes, fillvalue=()) for part in parts for line in part]
            path = self.folder / PREDICTIONS
            write_atomically(path, "".join(f"{line}\n" for line in lines))
            print(f"wrote the answers to {len(lines):,} sequences to {path}", flush=True)


def records(batch: Batch, answers: Tensor, spec: TaskSpec) -> list[dict[str, Any]]:
    """Return input, target, answer and condition of each sequence of a batch.

    Args:
        batch: The batch.
        answers: The network's symbols, ``(sequences, time)``, or real values, ``(sequences, time, outputs)``.
        spec: The conversion of symbols to strings.

    Example:
        >>> batch = Batch(torch.tensor([[2, 0, 1]]), torch.tensor([[-100, 2, 0]]), condition=torch.tensor([1]))
        >>> records(batch, torch.tensor([[1, 2, 1]]), TaskSpec(3, 3))
        [{'input': [2, 0, 1], 'target': [None, 2, 0], 'answer': [None, 2, 1], 'condition': 1}]
    """
    batch = batch.expanded()
    columns: dict[str, list[Any]] = {"input": texts(batch.inputs, spec)}
    if spec.real_targets:
        scored = batch.scored[..., None]
        columns |= {"target": numbers(batch.targets), "answer": numbers(answers.masked_fill(~scored, math.nan))}
    else:
        answers = answers.masked_fill(batch.targets == NOT_SCORED, NOT_SCORED)
        columns |= {"target": output_texts(batch.targets, spec), "answer": output_texts(answers, spec)}
    if batch.condition is not None:
        columns["condition"] = batch.condition.tolist()
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def numbers(values: Tensor) -> list[list[list[float] | None]]:
    """Return real values as nested lists of rounded numbers, with None for a step whose values are NaN.

    Args:
        values: ``(sequences, time, size)``.

    Example:
        >>> numbers(torch.tensor([[[0.25], [torch.nan]]]))
        [[[0.25], None]]
    """
    rows = values.double().tolist()
    return [[None if math.isnan(step[0]) else [round(value, 6) for value in step] for step in row] for row in rows]


def output_texts(symbols: Tensor, spec: TaskSpec) -> list[Any]:
    """Return :func:`texts` of output symbols, which may have other characters than input symbols."""
    return texts(symbols, spec) if spec.codec is None else spec.codec.decode_outputs(symbols)


def texts(inputs: Tensor, spec: TaskSpec) -> list[Any]:
    """Return each row of inputs as a string, or as a list of symbols or numbers for a task without strings.

    Args:
        inputs: Symbols, ``(sequences, time)``, where ``NOT_SCORED`` becomes a space, or None in a list; or real
            features, ``(sequences, time, features)``.
        spec: The conversion of symbols to strings.
    """
    if inputs.is_floating_point():
        return numbers(inputs)
    symbols = inputs
    if spec.codec is not None:
        return spec.codec.decode(symbols)
    rows = symbols.tolist()
    if spec.vocabulary is not None:
        characters = ("\N{REPLACEMENT CHARACTER}", *spec.vocabulary.characters)  # symbol 0 is any other character
        return ["".join(" " if symbol < 0 else characters[symbol] for symbol in row) for row in rows]
    return [[None if symbol < 0 else symbol for symbol in row] for row in rows]
