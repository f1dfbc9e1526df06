"""A training by ``rnn-tasks fit``, with peers that are given their turns between blocks of its steps."""

import contextlib
import copy
import io
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time
from typing import Literal
from unittest.mock import patch

import torch
import yaml
from lightning.pytorch import Callback, LightningModule, Trainer

from benchmarks.peers.text import ConciseLoop
from benchmarks.plain import PlainLoop
from benchmarks.turns import Lap, in_turn, lap, order
from rnn_tasks.callbacks.reorthogonalize import Reorthogonalize
from rnn_tasks.models.recurrent_model import RecurrentModel
from rnn_tasks.runs.trainer_facts import callbacks_of

Contestant = Literal["fit", "plain", "data", "seed"]


@dataclass(frozen=True)
class Case:
    """A recipe whose steps are measured.

    Args:
        what: How the table calls it.
        config: Name of the recipe.
        block: Steps in a turn: as many as hold a whole number of everything that callbacks do now and then.
        quick_block: Steps in a turn when it must be quick.
        words: What else is said on the command line.
    """

    what: str
    config: str
    block: int
    quick_block: int
    words: tuple[str, ...] = ()


BY_STEPS = ("--trainer.val_check_interval=1000000000",)
BY_EPOCHS = ("--trainer.check_val_every_n_epoch=1000000000", "--trainer.max_epochs=-1")

COPY = Case("copy, hidden 128, batch 128, length 21", "copy", 300, 150, BY_STEPS)
VARIABLE = Case("variable_delay_echo", "variable_delay_echo", 300, 30, BY_STEPS)
CLASSIC = Case("time_machine classic concise", "seeds/time_machine_classic_concise", 600, 120, BY_EPOCHS)
GRAMMAR = Case("elman_grammar, batch 1", "seeds/elman_grammar_charrnn", 600, 600, BY_STEPS)
CASES = (COPY, VARIABLE, CLASSIC, GRAMMAR)


class MeasuredError(Exception):
    """Ends the training when all turns are over.

    Args:
        laps: Of one step, by contestant.
    """

    def __init__(self, laps: dict[str, list[Lap]]) -> None:
        super().__init__("measured")
        self.laps = laps


class Interleaved(Callback):
    """Times blocks of this training's steps from the end of a step to the end of another, and the peers in between.

    The first block is not counted. Peers train copies of the model on the same batches.

    Args:
        contestants: Who takes part, ``fit`` being this training.
        block: Steps in a turn, ``>= 1``.
        turns: Number of turns, ``>= 1``.

    Raises:
        MeasuredError: All turns are over.
    """

    def __init__(self, contestants: list[Contestant], block: int, turns: int) -> None:
        self.names: list[str] = [name for name in contestants if name != "fit"]
        self.takes_part = "fit" in contestants
        self.block, self.turns = block, turns
        self.laps: dict[str, list[Lap]] = {name: [] for name in contestants}
        self.peers: dict[str, Callable[[], object]] = {}
        self.started, self.cpu = 0.0, 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, RecurrentModel)
        makers: dict[str, Callable[[], Callable[[], object]]] = {
            "plain": lambda: self._plain(trainer, pl_module),
            "data": lambda: self._data(trainer),
            "seed": lambda: self._seed(trainer),
        }
        self.peers = {name: makers[name]() for name in self.names}

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        if trainer.global_step % self.block:
            return
        ended = Lap(perf_counter() - self.started, process_time() - self.cpu)
        turn = trainer.global_step // self.block - 2
        if turn < 0:
            for peer in self.peers.values():
                peer()
            if not self.takes_part:
                raise MeasuredError(self._each(in_turn(self.peers, self.turns)))
        else:
            self.laps["fit"].append(ended)
            # A turn that goes backwards has its peers before its steps.
            for due in range(turn, min(turn + 2, self.turns)) if turn % 2 == 0 else ():
                for name in order(self.names, due):
                    self.laps[name].append(lap(self.peers[name]))
            if turn + 1 == self.turns:
                raise MeasuredError(self._each(self.laps))
        self.started, self.cpu = perf_counter(), process_time()

    def _each(self, laps: dict[str, list[Lap]]) -> dict[str, list[Lap]]:
        return {name: [block.each(self.block) for block in blocks] for name, blocks in laps.items()}

    def _plain(self, trainer: Trainer, model: RecurrentModel) -> Callable[[], object]:
        twin = copy.deepcopy(model)  # its optimizer may ask how long the training is
        twin.trainer = trainer
        constraint = next(iter(callbacks_of(trainer, Reorthogonalize)), None)
        half = str(trainer.precision).startswith("bf16")
        loop = PlainLoop(twin, trainer.datamodule, trainer.gradient_clip_val, constraint, half)  # type: ignore[attr-defined]

        def work() -> None:
            loop(self.block)
            if model.device.type == "cuda":
                torch.cuda.synchronize()

        return work

    def _data(self, trainer: Trainer) -> Callable[[], object]:
        task = trainer.datamodule  # type: ignore[attr-defined]
        return lambda: [task.train_batch(index) for index in range(self.block)]

    def _seed(self, trainer: Trainer) -> Callable[[], object]:
        task = trainer.datamodule  # type: ignore[attr-defined]
        loop = ConciseLoop(task.symbols("train"), len(task.vocabulary), task.batch_size, task.sequence_length)
        return lambda: loop(self.block)


def step_laps(
    case: Case, contestants: Sequence[Contestant], turns: int, quick: bool, words: Sequence[str] = ()
) -> dict[str, list[Lap]]:
    """Laps of one training step of each contestant; the training happens in a folder that is deleted afterwards.

    Args:
        case: The recipe.
        contestants: Who takes part.
        turns: Number of turns.
        quick: Whether to take the shorter blocks.
        words: More words of the command line.

    Raises:
        UsageError: The recipe cannot be trained here.
    """
    from rnn_tasks.cli.trainer import run_trainer  # takes seconds, and other benchmarks do without it

    block = case.quick_block if quick else case.block
    arguments = {"contestants": list(contestants), "block": block, "turns": turns}
    callback = {"class_path": f"{__name__}.{Interleaved.__name__}", "init_args": arguments}
    said = io.StringIO()
    with (
        tempfile.TemporaryDirectory() as name,
        contextlib.chdir(name),
        contextlib.redirect_stdout(said),
        patch.object(sys, "argv", sys.argv[:1]),  # Lightning warns of words that the process was given as well
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", "The number of training batches")
        Path("measured.yaml").write_text(yaml.safe_dump({"trainer": {"callbacks+": callback}}))
        steps = f"--trainer.max_steps={block * (turns + 2)}"
        try:
            run_trainer(["fit", "--config", case.config, "--config", "measured.yaml", steps, *case.words, *words])
        except MeasuredError as ended:
            return ended.laps
    raise RuntimeError(f"the training ended before it was measured: {said.getvalue()}")
