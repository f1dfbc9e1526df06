from pathlib import Path

import torch
import yaml

from rnn_tasks.spec import Codec, TaskSpec


def test_spec_is_restored_from_yaml(spec: TaskSpec) -> None:
    assert TaskSpec.from_dict(yaml.safe_load(yaml.safe_dump(spec.to_dict()))) == spec


def test_spec_is_restored_from_a_weights_only_checkpoint(spec: TaskSpec, tmp_path: Path) -> None:
    torch.save(spec.to_dict(), tmp_path / "spec.ckpt")
    assert TaskSpec.from_dict(torch.load(tmp_path / "spec.ckpt", weights_only=True)) == spec


def test_spec_without_codec_is_restored_from_yaml() -> None:
    spec = TaskSpec(5, 4, num_conditions=3, blank=1)
    assert TaskSpec.from_dict(yaml.safe_load(yaml.safe_dump(spec.to_dict()))) == spec


def test_difference_names_real_inputs_and_targets() -> None:
    symbols = TaskSpec(3, 2)
    assert symbols.difference_from(TaskSpec(3, 2, real_inputs=True)) == "inputs that are real numbers, not symbols"
    assert TaskSpec(3, 2, real_targets=True).difference_from(symbols) == "targets that are symbols, not real numbers"


def test_difference_names_another_meaning_of_outputs() -> None:
    one = TaskSpec(2, 2, codec=Codec("ab", "ab", output_symbols="01"))
    other = TaskSpec(2, 2, codec=Codec("ab", "ab", output_symbols="10"))
    assert one.difference_from(other) is not None
    assert one.difference_from(one) is None
