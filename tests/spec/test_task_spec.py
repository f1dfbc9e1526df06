from pathlib import Path

import torch
import yaml

from rnn_tasks.spec import TaskSpec


def test_spec_is_restored_from_yaml(spec: TaskSpec) -> None:
    assert TaskSpec.from_dict(yaml.safe_load(yaml.safe_dump(spec.to_dict()))) == spec


def test_spec_is_restored_from_a_weights_only_checkpoint(spec: TaskSpec, tmp_path: Path) -> None:
    torch.save(spec.to_dict(), tmp_path / "spec.ckpt")
    assert TaskSpec.from_dict(torch.load(tmp_path / "spec.ckpt", weights_only=True)) == spec


def test_spec_without_codec_is_restored_from_yaml() -> None:
    spec = TaskSpec(5, 4, num_conditions=3, blank=1)
    assert TaskSpec.from_dict(yaml.safe_load(yaml.safe_dump(spec.to_dict()))) == spec
