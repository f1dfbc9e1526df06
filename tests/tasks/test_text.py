import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from rnn_tasks.errors import UsageError
from rnn_tasks.spec import NOT_SCORED, Batch
from rnn_tasks.tasks import Text

# 80 characters for training, ten for validation and ten for the test.
HUNDRED = "abcdefgh" * 10 + "hgfedcba" + "ab" + "aabbccdd" + "hg"


def written(folder: Path, content: str | bytes) -> str:
    file = folder / "own.txt"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(file)


def targets(batches: list[Batch]) -> list[int]:
    """All scored symbols."""
    return torch.cat([batch.targets[batch.scored] for batch in batches]).tolist()


def test_the_end_of_the_text_is_the_test_and_what_is_before_it_the_validation(tmp_path: Path) -> None:
    task = Text(written(tmp_path, HUNDRED))
    assert task.text("train") == HUNDRED[:80]
    assert task.text("val") == HUNDRED[80:90]
    assert task.text("test") == HUNDRED[90:]
    assert task.name == "text"


@pytest.mark.parametrize(("val_share", "test_share", "sizes"), [(0.25, 0.05, (70, 25, 5)), (0.01, 0.98, (1, 1, 98))])
def test_shares_can_be_chosen(val_share: float, test_share: float, sizes: tuple[int, int, int], tmp_path: Path) -> None:
    task = Text(written(tmp_path, HUNDRED), val_share=val_share, test_share=test_share)
    parts = [task.text(split) for split in ("train", "val", "test")]
    assert "".join(parts) == HUNDRED
    assert tuple(map(len, parts)) == sizes


@pytest.mark.parametrize("size", range(2, 40))
def test_no_character_is_lost_or_in_two_parts(size: int, tmp_path: Path) -> None:
    text = HUNDRED[:size]
    task = Text(written(tmp_path, text), val_share=0.3, test_share=0.25)
    assert "".join(task.text(split) for split in ("train", "val", "test")) == text


@pytest.mark.parametrize(
    ("cleaning", "cleaned"),
    [("letters", "élan vital "), ("lower", "élan vital,\n1907\n"), ("none", "Élan VITAL,\n1907\n")],
)
def test_a_text_is_cleaned_as_asked(cleaning: Any, cleaned: str, tmp_path: Path) -> None:
    assert Text(written(tmp_path, "Élan VITAL,\r\n1907\r\n"), cleaning).whole_text == cleaned


def test_accents_and_line_ends_of_another_system_reach_the_network(tmp_path: Path) -> None:
    text = "\ufeff" + "Où est l'été?\r\n" * 20
    task = Text(written(tmp_path, text), "none", batch_size=2, sequence_length=14, random_offset=False)
    batch = task.train_batch(0)
    assert task.vocabulary.decode(batch.inputs[0].tolist()) == "Où est l'été?\n"
    assert task.vocabulary.decode(batch.targets[0].tolist()) == "ù est l'été?\nO"
    assert task.vocabulary.characters == "\n '?Oelstéù"


def test_only_characters_of_the_training_text_are_known(tmp_path: Path) -> None:
    text = "ab" * 40 + "abzab" * 2 + "baababyzab"
    task = Text(written(tmp_path, text), eval_batch_size=1)
    assert task.vocabulary.characters == "ab"
    assert task.spec.output_size == 3
    assert task.symbols("test").tolist() == [2, 1, 1, 2, 1, 2, 0, 0, 1, 2]
    # What is unknown is to be predicted as such.
    assert targets(list(task.test_dataloader())) == [1, 1, 2, 1, 2, 0, 0, 1, 2]
    assert targets(list(task.val_dataloader())).count(0) == 2
    assert math.isfinite(task.baseline.loss)


def test_rare_characters_are_unknown_in_the_training_text_too(tmp_path: Path) -> None:
    text = "abcabababd" * 8 + "abcabababd" * 2
    task = Text(written(tmp_path, text), min_count=9, batch_size=1, sequence_length=10, random_offset=False)
    assert task.vocabulary.characters == "ab"  # 16 of c and d in all, but 8 in the training text
    batch = task.train_batch(0)
    assert batch.inputs[0].tolist() == [1, 2, 0, 1, 2, 1, 2, 1, 2, 0]
    assert batch.targets[0].tolist() == [2, 0, 1, 2, 1, 2, 1, 2, 0, 1]
    assert Text(task.path, min_count=8).vocabulary.characters == "abcd"


@pytest.mark.parametrize(
    ("prefix", "start"), [(None, "once"), ("upon", "upon"), ("", "once")], ids=["none", "given", "empty"]
)
def test_samples_begin_with_the_first_word_or_as_asked(prefix: str | None, start: str, tmp_path: Path) -> None:
    text = " \n Once upon a time " * 9
    assert Text(written(tmp_path, text), prefix=prefix).vocabulary.prefix == start


def test_a_very_long_first_word_is_cut(tmp_path: Path) -> None:
    assert Text(written(tmp_path, "a" * 500)).vocabulary.prefix == "a" * 20


def test_a_file_at_home_may_be_named_with_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    written(tmp_path, HUNDRED)
    assert Text("~/own.txt").whole_text == HUNDRED


def test_the_file_is_read_when_it_is_needed(tmp_path: Path) -> None:
    task = Text(str(tmp_path / "own.txt"))
    written(tmp_path, HUNDRED)
    assert task.whole_text == HUNDRED


def refusal(task: Text) -> str:
    """What the user of a task reads who trains on it."""
    with pytest.raises(UsageError) as refused:
        _ = task.spec, task.train_dataloader(), task.baseline_on("val"), task.baseline
    said = str(refused.value)
    assert "\n" not in said
    return said


@pytest.mark.parametrize("content", ["", " \n\t\r\n", "\ufeff"])
@pytest.mark.parametrize("cleaning", ["letters", "none"])
def test_an_empty_file_is_refused(cleaning: Any, content: str, tmp_path: Path) -> None:
    path = written(tmp_path, content)
    assert refusal(Text(path, cleaning)) == f"{path} is empty"


def test_a_file_that_is_empty_once_it_is_cleaned_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "1895, 1898!\n")
    assert refusal(Text(path)) == f"the cleaning leaves nothing of {path}: set data.cleaning to none"


def test_a_text_that_is_too_short_for_a_batch_is_refused(tmp_path: Path) -> None:
    said = refusal(Text(written(tmp_path, HUNDRED)))
    assert said.startswith("the training text has 80 characters, too few for a batch of 32 sequences of 64;")
    assert "--data.batch_size" in said
    assert "--data.sequence_length" in said


@pytest.mark.parametrize(("val_share", "test_share", "short"), [(0.01, 0.1, "val"), (0.1, 0.01, "test")])
def test_a_part_without_anything_to_predict_is_refused(
    val_share: float, test_share: float, short: str, tmp_path: Path
) -> None:
    path = written(tmp_path, HUNDRED)
    task = Text(path, val_share=val_share, test_share=test_share, batch_size=2, sequence_length=4)
    assert refusal(task) == f"the {short} text has 1 characters, too few to predict one"
    with pytest.raises(UsageError, match=f"the {short} text has 1 characters"):
        task.val_dataloader() if short == "val" else task.test_dataloader()


def test_parts_of_two_characters_are_enough(tmp_path: Path) -> None:
    task = Text(written(tmp_path, HUNDRED), val_share=0.02, test_share=0.02, batch_size=2, sequence_length=4)
    for loader in (task.val_dataloader(), task.test_dataloader()):
        (batch,) = loader
        assert batch.inputs.shape == (1, 1)
        assert int(batch.targets) != NOT_SCORED
    assert math.isfinite(task.baseline.loss)


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n", b"ab\0c"])
def test_a_file_that_is_not_text_is_refused(content: bytes, tmp_path: Path) -> None:
    path = written(tmp_path, content)
    assert re.match(f"{re.escape(path)} is not (UTF-8 )?text: ", refusal(Text(path)))


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    assert refusal(Text(str(tmp_path / "none"))) == f"cannot read {tmp_path / 'none'}: No such file or directory"
    assert refusal(Text(str(tmp_path))) == f"cannot read {tmp_path}: Is a directory"


@pytest.mark.parametrize("path", [None, ""])
def test_without_a_file_the_user_is_told_how_to_give_one(path: str | None) -> None:
    assert refusal(Text(path)) == "the task text needs a file: --data.path FILE"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"min_count": 0}, "min_count must be at least 1, got 0"),
        ({"val_share": 0.0}, "val_share and test_share must be above 0 and below 1 together, got 0.0 and 0.1"),
        ({"test_share": -0.1}, "val_share and test_share must be above 0 and below 1 together, got 0.1 and -0.1"),
        ({"val_share": 0.5, "test_share": 0.5}, "must be above 0 and below 1 together, got 0.5 and 0.5"),
        ({"sequence_length": 0}, "sequence_length must be at least 1, got 0"),
    ],
)
def test_a_value_outside_its_bounds_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        Text(**arguments)
