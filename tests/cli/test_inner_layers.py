"""A layer inside a layer, ``Blocks``, in configs and on the command line."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from rnn_tasks.cores import GRU, LRU, Blocks
from rnn_tasks.models.loading import build_model
from rnn_tasks.spec import TaskSpec
from tests.helpers.config_edits import parse
from tests.helpers.configs import short_name

pytestmark = pytest.mark.usefixtures("working_folder")


def layers(*arguments: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the sections of the outer and of the inner layer."""
    core = parse(*arguments)["model"]["init_args"]["core"]
    return core, core["init_args"]["core"]


def test_overlay_of_blocks_keeps_the_hidden_size_of_the_task() -> None:
    core, inner = layers("--config", "copy", "--config", "models/lru_blocks")
    assert (short_name(core), core["init_args"]["hidden_size"], short_name(inner)) == ("Blocks", 128, "LRU")
    assert "hidden_size" not in inner["init_args"]
    assert inner["init_args"]["r_min"] == 0.9


def test_options_name_the_layer_of_a_block() -> None:
    options = ["--model.core", "Blocks", "--model.core.core", "LRU", "--model.core.core.r_min", "0.5"]
    core, inner = layers("--config", "copy", *options)
    assert (short_name(core), core["init_args"]["hidden_size"], short_name(inner)) == ("Blocks", 128, "LRU")
    assert inner["init_args"]["r_min"] == 0.5


def test_new_layer_of_a_block_drops_the_options_of_the_old() -> None:
    options = ["--model.core.core", "GRU", "--model.core.depth", "3"]
    core, inner = layers("--config", "copy", "--config", "models/lru_blocks", *options)
    assert (core["init_args"]["depth"], short_name(inner)) == (3, "GRU")
    assert "r_min" not in inner["init_args"]


def test_layer_without_blocks_replaces_blocks() -> None:
    core = parse("--config", "copy", "--config", "models/lru_blocks", "--config", "models/gru")
    section = core["model"]["init_args"]["core"]
    assert (short_name(section), section["init_args"]["hidden_size"]) == ("GRU", 128)
    assert "core" not in section["init_args"]


@pytest.mark.parametrize("inner", [LRU, GRU])
def test_saved_config_builds_equal_blocks(inner: type) -> None:
    arguments = ["--config", "copy", "--config", "models/lru_blocks", "--model.core.hidden_size", "6"]
    section = parse(*arguments, "--model.core.core", inner.__name__)["model"]
    Path("saved.yaml").write_text(yaml.safe_dump({"model": section}))
    restored = yaml.safe_load(Path("saved.yaml").read_text())["model"]
    core = build_model(restored, TaskSpec(5, 5)).network.core
    assert isinstance(core, Blocks)
    assert [type(block.core) for block in core.blocks] == [inner, inner]
    assert core(torch.zeros(2, 3, 5))[0].shape == (2, 3, 6)
