from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rnn_tasks.callbacks import EigenvalueMonitor
from rnn_tasks.errors import UsageError
from tests.helpers.monitored_runs import CORES, STRANGE, echo, events, model_for, trainer


def by_numpy(model: Any) -> dict[str, Any]:
    weights = model.network.core.recurrent_weights()
    return {name: np.linalg.eigvals(weight.detach().double().numpy()) for name, weight in weights.items()}


def in_order(values: Any) -> Any:
    return np.sort_complex(np.asarray(values).round(6))


@pytest.mark.parametrize("core", CORES)
def test_eigenvalues_of_all_matrices_are_kept_at_start_and_now(core: str) -> None:
    model, monitor = model_for(echo(), CORES[core]), EigenvalueMonitor()
    started = by_numpy(model)
    trainer(monitor, max_steps=2).fit(model, echo())
    for found, expected in ((monitor.first, started), (monitor.now, by_numpy(model))):
        assert found.keys() == expected.keys()
        for name, values in found.items():
            np.testing.assert_allclose(in_order(values), in_order(expected[name]), atol=1e-5)


def test_a_resumed_run_knows_where_it_started(tmp_path: Path) -> None:
    first = EigenvalueMonitor()
    run = trainer(first, folder=tmp_path)
    run.fit(model_for(echo()), echo())
    run.save_checkpoint(tmp_path / "last.ckpt")
    second = EigenvalueMonitor()
    trainer(second, folder=tmp_path, max_steps=8).fit(model_for(echo()), echo(), ckpt_path=str(tmp_path / "last.ckpt"))
    assert second.first_step == 0
    assert torch.equal(second.first["weight_hh_l0"], first.first["weight_hh_l0"])
    assert [image.step for image in events(tmp_path).Images("eigenvalues")] == [6, 8]


def test_a_fit_of_its_own_starts_anew() -> None:
    monitor = EigenvalueMonitor()
    for _ in range(2):
        model = model_for(echo())
        torch.nn.init.normal_(model.network.core.weight_hh_l0)  # type: ignore[arg-type]
        started = by_numpy(model)["weight_hh_l0"]
        trainer(monitor, max_steps=2).fit(model, echo())
        np.testing.assert_allclose(in_order(monitor.first["weight_hh_l0"]), in_order(started), atol=1e-5)


def test_a_layer_without_recurrent_matrices_is_refused() -> None:
    with pytest.raises(UsageError, match="EigenvalueMonitor found no recurrent matrix in Strange"):
        trainer(EigenvalueMonitor()).fit(model_for(echo(), STRANGE), echo())
