"""Run folders of version 0.1.0, whose weights had no prefix ``network.``."""

import shutil
from pathlib import Path

import pytest
import torch
import yaml

from rnn_tasks.report.run_data import load_runs
from rnn_tasks.runs.find import RunLocation, config_hash
from tests.helpers.command_line import RnnTasks


def to_0_1_0(run: Path) -> None:
    """Rename the weights and options of a run to their names in version 0.1.0."""
    config = yaml.safe_load((run / "config.yaml").read_text())
    arguments = config["model"]["init_args"]
    arguments["quiet_blank"] = arguments.pop("zero_blank_weights")
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    for path in (run / "checkpoints").glob("*.ckpt"):
        checkpoint = torch.load(path, weights_only=True)
        weights = checkpoint["state_dict"]
        checkpoint["state_dict"] = {name.removeprefix("network."): weight for name, weight in weights.items()}
        assert checkpoint["state_dict"].keys() != weights.keys()
        checkpoint["rnn_tasks"]["config"] = config_hash(config["model"])
        torch.save(checkpoint, path)


@pytest.mark.parametrize(
    ("task", "command"),
    [
        ("variable_delay_echo", ("respond", "abacaba", "--delay", "3")),
        pytest.param("elman_grammar", ("generate", "--length", "20"), marks=pytest.mark.slow),
    ],
)
def test_commands_accept_a_run_of_version_0_1_0(trained: RnnTasks, task: str, command: tuple[str, ...]) -> None:
    run, old = (Path(f"lightning_logs/{task}/version_{number}") for number in (0, 1))
    shutil.copytree(run, old)
    to_0_1_0(old)
    name, *arguments = command
    answers = [trained(name, str(folder), *arguments) for folder in (run, old)]
    assert answers[0] == answers[1]
    assert answers[0].status == 0
    (new_data,), (old_data,) = (load_runs([RunLocation(folder)]) for folder in (run, old))  # as analyze does
    weights_of_both = [data.network.state_dict() for data in (new_data, old_data)]
    assert weights_of_both[0].keys() == weights_of_both[1].keys()
    assert all(torch.equal(weight, weights_of_both[1][name]) for name, weight in weights_of_both[0].items())
    assert old_data.missing == new_data.missing
    for folder in (run, old):
        assert trained("resume", str(folder), "--trainer.max_steps", "6").status == 0
    weights = [torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["state_dict"] for folder in (run, old)]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--config", "seeds/copy_rnn"), "no config seeds/copy_rnn; it was renamed to published/copy_rnn"),
        (("--config", "copy", "--data.layout", "seed"), "got seed; it was renamed to 'plain'"),
        (("--config", "copy", "--model.quiet_blank", "true"), "it was renamed to 'zero_blank_weights'"),
    ],
)
def test_fit_suggests_the_current_name_of_a_renamed_option(
    rnn_tasks: RnnTasks, arguments: tuple[str, ...], message: str
) -> None:
    result = rnn_tasks("fit", *arguments)
    assert (result.status, result.out) == (2, "")
    assert result.err.count("\n") == 1
    assert message in result.err
