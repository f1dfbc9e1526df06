import math
import re
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rnn_tasks.errors import UsageError
from rnn_tasks.spec import NOT_SCORED, Batch
from rnn_tasks.tasks import Text

# 80 characters for training, ten for validation and ten for the test.
TEXT_100 = "abcdefgh" * 10 + "hgfedcba" + "ab" + "aabbccdd" + "hg"


def write_file(folder: Path, content: str | bytes) -> str:
    file = folder / "text.txt"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(file)


def targets(batches: list[Batch]) -> list[int]:
    """Return all scored symbols."""
    return torch.cat([batch.targets[batch.scored] for batch in batches]).tolist()


def test_splits_are_consecutive_parts_of_the_text(tmp_path: Path) -> None:
    task = Text(write_file(tmp_path, TEXT_100))
    assert task.text("train") == TEXT_100[:80]
    assert task.text("val") == TEXT_100[80:90]
    assert task.text("test") == TEXT_100[90:]
    assert task.name == "text"


@pytest.mark.parametrize(("val_share", "test_share", "sizes"), [(0.25, 0.05, (70, 25, 5)), (0.01, 0.98, (1, 1, 98))])
def test_val_share_and_test_share_set_the_sizes(
    val_share: float, test_share: float, sizes: tuple[int, int, int], tmp_path: Path
) -> None:
    task = Text(write_file(tmp_path, TEXT_100), val_share=val_share, test_share=test_share)
    parts = [task.text(split) for split in ("train", "val", "test")]
    assert "".join(parts) == TEXT_100
    assert tuple(map(len, parts)) == sizes


@pytest.mark.parametrize("size", range(2, 40))
def test_splits_cover_each_character_once(size: int, tmp_path: Path) -> None:
    text = TEXT_100[:size]
    task = Text(write_file(tmp_path, text), val_share=0.3, test_share=0.25)
    assert "".join(task.text(split) for split in ("train", "val", "test")) == text


@pytest.mark.parametrize(
    ("cleaning", "cleaned"),
    [("letters", "élan vital "), ("lower", "élan vital,\n1907\n"), ("none", "Élan VITAL,\n1907\n")],
)
def test_cleaning_selects_the_cleaning(cleaning: Any, cleaned: str, tmp_path: Path) -> None:
    assert Text(write_file(tmp_path, "Élan VITAL,\r\n1907\r\n"), cleaning).whole_text == cleaned


def test_accents_are_kept_and_line_ends_become_newlines(tmp_path: Path) -> None:
    text = "\ufeff" + "Où est l'été?\r\n" * 20
    task = Text(write_file(tmp_path, text), "none", batch_size=2, sequence_length=14, random_offset=False)
    batch = task.train_batch(0)
    assert task.vocabulary.decode(batch.inputs[0].tolist()) == "Où est l'été?\n"
    assert task.vocabulary.decode(batch.targets[0].tolist()) == "ù est l'été?\nO"
    assert task.vocabulary.characters == "\n '?Oelstéù"


def test_vocabulary_has_only_characters_of_the_training_text(tmp_path: Path) -> None:
    text = "ab" * 40 + "abzab" * 2 + "baababyzab"
    task = Text(write_file(tmp_path, text), eval_batch_size=1)
    assert task.vocabulary.characters == "ab"
    assert task.spec.output_size == 3
    assert task.symbols("test").tolist() == [2, 1, 1, 2, 1, 2, 0, 0, 1, 2]
    # Unknown characters are targets too.
    assert targets(list(task.predict_dataloader())) == [1, 1, 2, 1, 2, 0, 0, 1, 2]
    assert targets(list(task.val_dataloader())).count(0) == 2
    assert math.isfinite(task.baseline.loss)


def test_characters_rarer_than_min_count_are_unknown(tmp_path: Path) -> None:
    text = "abcabababd" * 8 + "abcabababd" * 2
    task = Text(write_file(tmp_path, text), min_count=9, batch_size=1, sequence_length=10, random_offset=False)
    assert task.vocabulary.characters == "ab"  # c and d occur 10 times each, 8 times in the training text
    batch = task.train_batch(0)
    assert batch.inputs[0].tolist() == [1, 2, 0, 1, 2, 1, 2, 1, 2, 0]
    assert batch.targets[0].tolist() == [2, 0, 1, 2, 1, 2, 1, 2, 0, 1]
    assert Text(task.path, min_count=8).vocabulary.characters == "abcd"


@pytest.mark.parametrize(
    ("prefix", "start"), [(None, "once"), ("upon", "upon"), ("", "once")], ids=["none", "word", "empty"]
)
def test_prefix_defaults_to_the_first_word(prefix: str | None, start: str, tmp_path: Path) -> None:
    text = " \n Once upon a time " * 9
    assert Text(write_file(tmp_path, text), prefix=prefix).vocabulary.prefix == start


def test_default_prefix_has_at_most_20_characters(tmp_path: Path) -> None:
    assert Text(write_file(tmp_path, "a" * 500)).vocabulary.prefix == "a" * 20


def test_path_expands_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write_file(tmp_path, TEXT_100)
    assert Text("~/text.txt").whole_text == TEXT_100


def test_file_is_read_at_first_use(tmp_path: Path) -> None:
    task = Text(str(tmp_path / "text.txt"))
    write_file(tmp_path, TEXT_100)
    assert task.whole_text == TEXT_100


def error_of(task: Text) -> str:
    """Return the error message of training on a task."""
    with pytest.raises(UsageError) as error:
        _ = task.spec, task.train_dataloader(), task.baseline_on("val"), task.baseline
    message = str(error.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("content", ["", " \n\t\r\n", "\ufeff"])
@pytest.mark.parametrize("cleaning", ["letters", "none"])
def test_empty_file_raises(cleaning: Any, content: str, tmp_path: Path) -> None:
    path = write_file(tmp_path, content)
    assert error_of(Text(path, cleaning)) == f"{path} is empty: choose a file with text"


def test_file_that_is_empty_after_cleaning_raises(tmp_path: Path) -> None:
    path = write_file(tmp_path, "1895, 1898!\n")
    assert error_of(Text(path)) == f"{path} is empty after cleaning: set --data.cleaning none"


def test_text_too_short_for_a_batch_raises(tmp_path: Path) -> None:
    message = error_of(Text(write_file(tmp_path, TEXT_100)))
    assert message.startswith("the training text has 80 characters, too few for a batch of 32 sequences of 64:")
    assert "--data.batch_size" in message
    assert "--data.sequence_length" in message


@pytest.mark.parametrize(("val_share", "test_share", "split"), [(0.01, 0.1, "val"), (0.1, 0.01, "test")])
def test_split_of_one_character_raises(val_share: float, test_share: float, split: str, tmp_path: Path) -> None:
    path = write_file(tmp_path, TEXT_100)
    task = Text(path, val_share=val_share, test_share=test_share, batch_size=2, sequence_length=4)
    message = f"the {split} text must have at least 2 characters, got 1: use a longer text, or a larger share of it"
    assert error_of(task) == message
    with pytest.raises(UsageError, match=f"the {split} text must have at least 2 characters, got 1"):
        task.val_dataloader() if split == "val" else task.predict_dataloader()


def test_splits_of_two_characters_are_long_enough(tmp_path: Path) -> None:
    task = Text(write_file(tmp_path, TEXT_100), val_share=0.02, test_share=0.02, batch_size=2, sequence_length=4)
    for loader in (task.val_dataloader(), task.predict_dataloader()):
        (batch,) = loader
        assert batch.inputs.shape == (1, 1)
        assert int(batch.targets) != NOT_SCORED
    assert math.isfinite(task.baseline.loss)


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n", b"ab\0c"])
def test_binary_file_raises(content: bytes, tmp_path: Path) -> None:
    path = write_file(tmp_path, content)
    assert re.match(f"{re.escape(path)} is not (UTF-8 )?text: ", error_of(Text(path)))


def test_missing_file_and_folder_raise(tmp_path: Path) -> None:
    assert error_of(Text(str(tmp_path / "none"))) == f"cannot read {tmp_path / 'none'}: No such file or directory"
    assert error_of(Text(str(tmp_path))) == f"cannot read {tmp_path}: Is a directory"


@pytest.mark.parametrize("path", [None, ""])
def test_missing_path_raises_and_names_the_option(path: str | None) -> None:
    assert error_of(Text(path)) == "the task text needs a file: set --data.path FILE"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cleaning": "other"}, "cleaning must be one of letters, lower, none, got other"),
        ({"min_count": 0}, "min_count must be at least 1, got 0"),
        ({"val_share": 0.0}, "val_share and test_share must be above 0, and their sum below 1, got 0.0 and 0.1"),
        ({"test_share": -0.1}, "val_share and test_share must be above 0, and their sum below 1, got 0.1 and -0.1"),
        ({"val_share": 0.5, "test_share": 0.5}, "must be above 0, and their sum below 1, got 0.5 and 0.5"),
        ({"sequence_length": 0}, "sequence_length must be at least 1, got 0"),
    ],
)
def test_value_out_of_bounds_raises(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        Text(**arguments)


def test_min_count_above_all_counts_raises(tmp_path: Path) -> None:
    task = Text(write_file(tmp_path, TEXT_100), min_count=100_000, batch_size=2, sequence_length=4)
    with pytest.raises(UsageError, match=r"the training text has a single symbol \('<unk>'\), so there is nothing"):
        task.check()


@pytest.mark.parametrize(
    ("content", "cleaning", "characters"),
    [
        ("Эй, жлоб! Где туз?\r\n" * 9, "letters", " бгдежзйлотуэ"),
        ("\ufeffسمك ، فيل\u064f\n" * 9, "letters", " \u0633\u0641\u0643\u0644\u0645\u064a\u064f"),
        ("a👩\u200d🚀b e\u0301\n" * 9, "none", "\n abe\u0301\u200d👩🚀"),
        ("ΟΔΟΣ ΔΟΣΕ\n" * 9, "lower", "\n \u03b4\u03b5\u03bf\u03c2\u03c3"),
        ("\u0130 I\n" * 9, "lower", "\n i\u0307"),
        ("漢字かな文\n" * 9, "letters", " かな字文漢"),
        ("a\x0b\x85\u2028\x1bb\n" * 9, "none", "\n\x0b\x1bab\x85\u2028"),
    ],
)
def test_texts_in_any_script_are_read(content: str, cleaning: Any, characters: str, tmp_path: Path) -> None:
    path = write_file(tmp_path, content)
    task = Text(path, cleaning, batch_size=2, sequence_length=4, eval_batch_size=2)
    task.check()
    assert task.vocabulary.characters == characters
    assert task.vocabulary.decode(task.symbols("train").tolist()) == task.text("train")
    for split in ("val", "test"):
        baseline = task.baseline_on(split)
        assert 0 < baseline.loss < 20
        assert 0 <= baseline.accuracy <= 1


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1"])
def test_file_of_another_encoding_raises(encoding: str, tmp_path: Path) -> None:
    message = error_of(Text(write_file(tmp_path, ("Où est l'été?\n" * 9).encode(encoding))))
    assert re.search(r"is not (UTF-8 )?text: (byte|character) \d+ is ", message)


def test_sequence_longer_than_the_text_raises(tmp_path: Path) -> None:
    for options in ({"sequence_length": 1000, "batch_size": 1}, {"sequence_length": 2, "batch_size": 5000}):
        for sampling in ("sequential", "random", "windows"):
            task = Text(write_file(tmp_path, TEXT_100), sampling=sampling, **options)  # type: ignore[arg-type]
            if sampling == "windows" and options["batch_size"] == 5000:
                task.check()  # a single smaller batch
                continue
            with pytest.raises(UsageError, match="the training text has 80 characters, too few for a batch of"):
                task.check()


def test_baseline_is_counted_on_the_end_of_a_long_text(tmp_path: Path) -> None:
    path = write_file(tmp_path, "abab" * 500 + "abba" * 500)
    whole, end = (Text(path, baseline_characters=size, val_share=0.1) for size in (10_000, 1000))
    assert len(whole.baseline_symbols) == 3200
    assert whole.vocabulary.decode(end.baseline_symbols.tolist()) == whole.text("train")[-1000:]
    assert end.baseline.loss < whole.baseline.loss
    with pytest.raises(UsageError, match="baseline_characters must be at least 2, got 1"):
        Text(path, baseline_characters=1)


@pytest.mark.slow  # reads 20 MB
def test_long_text_needs_few_bytes_per_character(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """At most 12 bytes per character, also for a text with characters that Python stores in 4 bytes."""
    words = [f"{a}{b}{c}" for a in "theory" for b in "aeiou" for c in "nrst"]
    text = "😀 " + " ".join(np.random.default_rng(0).choice(words, 2_500_000))
    task = Text(write_file(tmp_path, text * 2))
    num_characters = 2 * len(text)
    del text
    tracemalloc.start()
    try:
        task.check()
        read = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        assert task.baseline_on("val").loss < 3
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert read < 12 * num_characters
    assert peak < 12 * num_characters + 500e6  # the n-gram: a constant for 2,048,000 characters
    assert capsys.readouterr().err.startswith(f"note: reading {task.path} (20 MB)\n")
