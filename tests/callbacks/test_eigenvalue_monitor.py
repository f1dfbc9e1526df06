from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rnn_tasks.callbacks import EigenvalueMonitor
from rnn_tasks.errors import UsageError
from tests.helpers.monitored_runs import CORES, UNSUPPORTED, echo, events, model_for, trainer


def numpy_eigenvalues(model: Any) -> dict[str, Any]:
    weights = model.network.core.recurrent_weights()
    return {name: np.linalg.eigvals(weight.detach().double().numpy()) for name, weight in weights.items()}


def sort_values(values: Any) -> Any:
    return np.sort_complex(np.asarray(values).round(6))


@pytest.mark.parametrize("core", CORES)
def test_eigenvalue_monitor_keeps_initial_and_current_values(core: str) -> None:
    model, monitor = model_for(echo(), CORES[core]), EigenvalueMonitor()
    initial = numpy_eigenvalues(model)
    trainer(monitor, max_steps=2).fit(model, echo())
    for kept, expected in ((monitor.first, initial), (monitor.now, numpy_eigenvalues(model))):
        assert kept.keys() == expected.keys()
        for name, values in kept.items():
            np.testing.assert_allclose(sort_values(values), sort_values(expected[name]), atol=1e-5)


def test_initial_eigenvalues_survive_a_resume(tmp_path: Path) -> None:
    first = EigenvalueMonitor()
    run = trainer(first, folder=tmp_path)
    run.fit(model_for(echo()), echo())
    run.save_checkpoint(tmp_path / "last.ckpt")
    second = EigenvalueMonitor()
    trainer(second, folder=tmp_path, max_steps=8).fit(model_for(echo()), echo(), ckpt_path=str(tmp_path / "last.ckpt"))
    assert second.first_step == 0
    assert torch.equal(second.first["weight_hh_l0"], first.first["weight_hh_l0"])
    assert [image.step for image in events(tmp_path).Images("eigenvalues")] == [6, 8]


def test_a_second_fit_replaces_the_initial_eigenvalues() -> None:
    monitor = EigenvalueMonitor()
    for _ in range(2):
        model = model_for(echo())
        torch.nn.init.normal_(model.network.core.weight_hh_l0)  # type: ignore[arg-type]
        initial = numpy_eigenvalues(model)["weight_hh_l0"]
        trainer(monitor, max_steps=2).fit(model, echo())
        np.testing.assert_allclose(sort_values(monitor.first["weight_hh_l0"]), sort_values(initial), atol=1e-5)


def test_eigenvalue_monitor_raises_without_eigenvalues() -> None:
    with pytest.raises(
        UsageError, match="EigenvalueMonitor found neither recurrent matrices nor other eigenvalues in UnsupportedLayer"
    ):
        trainer(EigenvalueMonitor()).fit(model_for(echo(), UNSUPPORTED), echo())
