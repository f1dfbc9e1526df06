"""The command line starts without what it does not use, and nobody misses it."""

import subprocess
import sys
from pathlib import Path

import pytest

FIT = ["fit", "--config", "copy", "--trainer.max_steps=2", "--data.val_sequences=9", "--data.test_sequences=9"]
HEAVY = ["unittest.mock", "matplotlib", "scipy", "sklearn", "sympy", "torch._inductor", "torch.distributed.fsdp"]


def run(program: str, folder: Path) -> str:
    """What a Python process says."""
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_fit_loads_neither_pictures_nor_a_compiler(tmp_path: Path) -> None:
    said = run(
        f"import sys; from rnn_tasks.__main__ import main; main({FIT}); "
        f"print([name for name in {HEAVY} if name in sys.modules])",
        tmp_path,
    )
    assert said.splitlines()[-1] == "[]"


@pytest.mark.parametrize("words", [FIT, ["study", "list"], ["fit", "--config", "nothing"]], ids=" ".join)
def test_garbage_is_looked_for_among_what_a_command_makes_and_not_among_imports(
    tmp_path: Path, words: list[str]
) -> None:
    said = run(
        f"import gc\nfrom rnn_tasks.__main__ import main\ntry: main({words})\nexcept SystemExit: pass\n"
        "print(gc.isenabled(), gc.get_freeze_count() > 100_000)",
        tmp_path,
    )
    assert said.splitlines()[-1] == "True True"


USES = """
import importlib, sys
from rnn_tasks.startup import import_lightning, StandIn

import_lightning()
left = [name for name, module in sys.modules.items() if isinstance(module, StandIn)]
assert left == ["torch._dynamo"], left

import torch
from lightning.pytorch.utilities.compile import OptimizedModule, to_uncompiled

layer = torch.nn.Linear(2, 2)
optimizer = torch.optim.Adam(layer.parameters(), lr=0.5)


def step():
    layer(torch.ones(2)).sum().backward()
    optimizer.step()
    optimizer.zero_grad()


step()
optimizer.load_state_dict(optimizer.state_dict())
assert not isinstance(layer, OptimizedModule)
assert isinstance(sys.modules["torch._dynamo"], StandIn)

import FIRST

assert not isinstance(torch._dynamo, StandIn) and sys.modules["torch._dynamo"] is torch._dynamo
part = sys.modules["torch._dynamo.eval_frame"]
assert part is torch._dynamo.eval_frame is importlib.import_module("torch._dynamo.eval_frame")
assert part.OptimizedModule is torch._dynamo.OptimizedModule
assert type(part.__spec__.loader).__name__ == "SourceFileLoader"

compiled = torch.compile(layer, backend="eager")
assert isinstance(compiled, OptimizedModule) and not isinstance(layer, OptimizedModule)
before = layer.weight.clone()
torch.compile(step, backend="eager")()
assert not torch.equal(before, layer.weight)

from unittest.mock import Mock

from lightning.pytorch import Callback
from lightning.pytorch.utilities.model_helpers import is_overridden

callback = Callback()
callback.on_fit_start = Mock(wraps=callback.on_fit_start)
assert not is_overridden("on_fit_start", callback, Callback)

import torchmetrics
from torchmetrics.utilities import plot

assert not isinstance(plot, StandIn)
import matplotlib

matplotlib.use("agg")
mean = torchmetrics.MeanMetric()
mean.update(1.0)
figure, _ = mean.plot()
assert type(figure) is matplotlib.figure.Figure

import scipy.signal
import scipy.optimize

assert scipy.signal.windows.hann(3)[1] == 1.0
from torchmetrics.functional.audio import permutation_invariant_training
print("all there")
"""


def test_what_was_put_off_is_there_when_it_is_used(tmp_path: Path) -> None:
    assert "all there" in run(USES.replace("import FIRST", "torch._dynamo.reset()"), tmp_path)


def test_a_part_of_the_compiler_may_be_asked_for_first_and_is_loaded_once(tmp_path: Path) -> None:
    assert "all there" in run(USES.replace("import FIRST", "import torch._dynamo.eval_frame"), tmp_path)


def test_a_loaded_lightning_is_left_as_it_is() -> None:
    from rnn_tasks.startup import StandIn, import_lightning

    before = dict(sys.modules)
    import_lightning()
    assert sys.modules == before
    assert not any(isinstance(module, StandIn) for module in before.values())
