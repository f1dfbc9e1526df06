from pathlib import Path

import pytest
import torch
import yaml

from rnn_tasks.errors import UsageError
from rnn_tasks.models.loading import load_model
from rnn_tasks.runs.find import config_hash, find_run, read_config
from tests.conftest import RnnTasks


@pytest.fixture
def run(trained: RnnTasks) -> Path:
    return Path("lightning_logs/variable_delay_echo/version_0")


def test_a_run_is_found_by_folder_checkpoint_or_task(run: Path) -> None:
    assert find_run(str(run)).folder == run
    last = run / "checkpoints" / "last.ckpt"
    assert find_run(str(last)).checkpoint == last
    assert find_run("variable_delay_echo").folder == run


def test_the_newest_run_is_the_one_with_the_highest_number(tmp_path: Path) -> None:
    for name in ("version_2", "version_10", "version_9"):
        (tmp_path / "echo" / name).mkdir(parents=True)
        (tmp_path / "echo" / name / "config.yaml").write_text("model: {}")
    (tmp_path / "echo" / "version_11").mkdir()  # claimed, but nothing was written
    assert find_run("echo", tmp_path).folder.name == "version_10"


def test_an_unknown_run_lists_the_tasks_that_have_runs(run: Path) -> None:
    with pytest.raises(
        UsageError, match="there are runs of copy, echo, elman_grammar, time_machine, variable_delay_echo"
    ):
        find_run("ecko")
    with pytest.raises(UsageError, match="there is no checkpoint"):
        find_run("nothing.ckpt")


def test_the_model_is_built_again_with_its_weights(run: Path) -> None:
    model = load_model(find_run(str(run)))
    saved = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    assert saved.keys() == model.state_dict().keys()
    assert all(torch.equal(saved[name], value) for name, value in model.state_dict().items())
    assert not model.training


def test_loading_leaves_the_global_random_numbers_alone(run: Path) -> None:
    before = torch.get_rng_state()
    load_model(find_run(str(run)))
    assert torch.equal(torch.get_rng_state(), before)


def test_another_model_section_is_refused(run: Path) -> None:
    config = read_config(run)
    config["model"]["init_args"]["quiet_blank"] = True
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(UsageError, match="the model section is another one"):
        load_model(find_run(str(run)))


def test_a_missing_or_broken_config_is_one_line(run: Path) -> None:
    for text, said in (("a: [", "not valid YAML"), ("data: {}", "no section 'model'"), ("- 1", "no section")):
        (run / "config.yaml").write_text(text)
        with pytest.raises(UsageError, match=said):
            load_model(find_run(str(run)))
    (run / "config.yaml").unlink()
    with pytest.raises(UsageError, match="without it the model cannot be built"):
        load_model(find_run(str(run)))


def test_classes_named_in_a_checkpoint_are_never_imported(run: Path, tmp_path: Path) -> None:
    target = tmp_path / "imported"
    (tmp_path / "evil.py").write_text(
        f"import pathlib\npathlib.Path({str(target)!r}).touch()\nclass Cell:\n    def __init__(self, **k): pass\n"
    )
    path = run / "checkpoints" / "best.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["hyper_parameters"] = {
        "_class_path": "evil.Cell",
        "_instantiator": "evil.Cell",
        "core": {"class_path": "evil.Cell", "init_args": {}},
    }
    torch.save(checkpoint, path)
    load_model(find_run(str(run)))
    assert not target.exists()


def test_a_checkpoint_of_something_else_is_refused(run: Path) -> None:
    path = run / "checkpoints" / "best.ckpt"
    torch.save({"state_dict": {}}, path)
    with pytest.raises(UsageError, match="not made by rnn_tasks"):
        load_model(find_run(str(run)))
    section = read_config(run)["model"]
    spec = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["rnn_tasks"]["spec"]
    torch.save({"state_dict": {}, "rnn_tasks": {"spec": spec, "config": config_hash(section)}}, path)
    with pytest.raises(UsageError, match="does not fit"):
        load_model(find_run(str(run)))


def test_a_run_without_a_checkpoint_says_so(run: Path) -> None:
    for name in ("best", "last"):
        (run / "checkpoints" / f"{name}.ckpt").unlink()
    with pytest.raises(UsageError, match="has no checkpoint: resume"):
        load_model(find_run(str(run)))
