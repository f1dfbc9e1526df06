from pathlib import Path

import numpy as np
from torch.utils.tensorboard import SummaryWriter

from rnn_tasks.runs.curves import read_curves, read_log


def test_read_curves_joins_the_curves_of_a_resumed_run(tmp_path: Path) -> None:
    for values in ([(1, 0.5), (2, 0.4)], [(2, 0.3), (3, 0.2)]):
        with SummaryWriter(str(tmp_path)) as board:
            for step, value in values:
                board.add_scalar("val/loss", value, step)
    curve = read_curves(tmp_path)["val/loss"]
    assert curve.steps.tolist() == [1, 2, 3]
    assert np.allclose(curve.values[[0, 2]], [0.5, 0.2])
    (tmp_path / "none").mkdir()
    assert read_curves(tmp_path / "none") == {}


def test_read_log_keeps_the_last_text_without_its_fence(tmp_path: Path) -> None:
    with SummaryWriter(str(tmp_path)) as board:
        for step, text in enumerate(("first", "second")):
            board.add_text("samples", f"```\n{text}\n```", step)
    assert read_log(tmp_path).texts == {"samples": "second"}
