import hashlib
import math
import os
import random
import re
from itertools import pairwise
from pathlib import Path
from typing import cast, get_args

import pytest
import torch

from rnn_tasks.errors import UsageError
from rnn_tasks.spec import Batch
from rnn_tasks.tasks import TimeMachine
from rnn_tasks.tasks.language_task import Sampling
from rnn_tasks.tasks.time_machine import ProtocolName
from rnn_tasks.texts.book import SHA1
from rnn_tasks.texts.cleaning import ascii_letters, ascii_letters_by_line, read_text

PROTOCOLS: tuple[ProtocolName, ...] = get_args(ProtocolName)
LETTERS = " abcdefghijklmnopqrstuvwxyz"


def random_text(words: int) -> str:
    """Return lines of random words, with all letters and with characters that the cleanings remove."""
    draw = random.Random(0)
    text = "The quick brown fox jumps over the lazy dog, 1895.\r\n\r\n"
    for _ in range(words):
        text += "".join(draw.choices("etaoinshrdlu", k=draw.randint(1, 8))).capitalize()
        text += draw.choice([" ", " ", " ", "; ", "--", "\r\n", ",\r\n\r\n  "])
    return text


@pytest.fixture(scope="module")
def book_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Path of a text that is long enough for all protocols."""
    file = tmp_path_factory.mktemp("book") / "timemachine.txt"
    file.write_bytes(random_text(5000).encode())
    return str(file)


@pytest.fixture
def cleaned_text(book_path: str) -> str:
    """The text as the protocols ``book`` and ``windows`` clean it."""
    return re.sub("[^a-z]+", " ", Path(book_path).read_bytes().decode().lower())


@pytest.fixture
def line_cleaned_text(book_path: str) -> str:
    """The text as the protocol ``classic`` cleans it."""
    lines = Path(book_path).read_bytes().decode().lower().split("\r\n")
    return "".join(re.sub("[^a-z]+", " ", line).strip() for line in lines)


def decoded_rows(task: TimeMachine, batch: Batch) -> list[tuple[str, str]]:
    """Return inputs and targets of each row as texts."""
    decode = task.vocabulary.decode
    return [
        (decode(inputs), decode(targets))
        for inputs, targets in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True)
    ]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_book_is_read_once_at_first_use(
    protocol: ProtocolName, book_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths_read: list[str | None] = []

    def read_book(path: str | None) -> str:
        paths_read.append(path)
        return read_text(Path(book_path))

    monkeypatch.setattr("rnn_tasks.tasks.time_machine.read_book", read_book)
    task = TimeMachine(protocol, path="somewhere")
    assert task.name == "time_machine"
    assert paths_read == []
    _ = task.spec, task.train_batch(0), next(iter(task.val_dataloader())), next(iter(task.predict_dataloader()))
    assert paths_read == ["somewhere"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_vocabulary_is_the_letters_and_the_space(protocol: ProtocolName, book_path: str) -> None:
    task = TimeMachine(protocol, path=book_path)
    assert task.vocabulary.characters == LETTERS
    assert task.vocabulary.prefix == "time traveller"
    assert task.spec.input_size == task.spec.output_size == 28


def test_book_splits_the_whole_text_80_10_10(book_path: str, cleaned_text: str) -> None:
    task = TimeMachine(path=book_path)
    parts = [task.text(split) for split in ("train", "val", "test")]
    assert "".join(parts) == cleaned_text
    for part, share in zip(parts, (0.8, 0.1, 0.1), strict=True):
        assert len(part) == pytest.approx(share * len(cleaned_text), abs=1)


@pytest.mark.parametrize("steps", [32, 64])
def test_windows_splits_into_10000_5000_and_5000_windows(steps: int, book_path: str, cleaned_text: str) -> None:
    task = TimeMachine("windows", path=book_path, batch_size=1024, sequence_length=steps, eval_batch_size=1024)
    pieces = [cleaned_text[start : start + steps + 1] for start in range(20_000)]

    def windows(batches: list[Batch]) -> list[str]:
        """Return the inputs and the last target of each row as one text."""
        texts = [text for batch in batches for text in decoded_rows(task, batch)]
        assert all(inputs[1:] == targets[:-1] for inputs, targets in texts)
        return [inputs + targets[-1] for inputs, targets in texts]

    train = [task.train_batch(index) for index in range(10)]
    assert [len(batch.inputs) for batch in train] == [1024] * 9 + [784]
    assert task.epoch_batches == 10
    assert sorted(windows(train)) == sorted(pieces[:10_000])
    assert windows(train[:1]) != pieces[:1024]
    assert windows(list(task.val_dataloader())) == pieces[10_000:15_000]
    assert windows(list(task.predict_dataloader())) == pieces[15_000:20_000]


def test_classic_validates_on_the_training_text(book_path: str, line_cleaned_text: str) -> None:
    task = TimeMachine("classic", path=book_path, sequence_length=35)
    assert task.text("train") == task.text("val") == line_cleaned_text[:10_000]
    assert task.text("test") == line_cleaned_text[10_000:15_000]
    assert task.epoch_batches == 8


def test_classic_trains_on_rows_after_a_random_offset(book_path: str, line_cleaned_text: str) -> None:
    task = TimeMachine("classic", path=book_path, sequence_length=35)
    batches = [task.train_batch(index) for index in range(8)]
    assert [batch.continues for batch in batches] == [False] + [True] * 7
    assert all(torch.equal(after.inputs[:, 0], before.targets[:, -1]) for before, after in pairwise(batches))
    first = [inputs + targets[-1] for inputs, targets in decoded_rows(task, batches[0])]
    fitting = [
        offset
        for offset in range(36)
        if first == [line_cleaned_text[offset + row * ((9999 - offset) // 32) :][:36] for row in range(32)]
    ]
    assert len(fitting) == 1


@pytest.mark.parametrize(
    ("protocol", "sampling"), [("book", "sequential"), ("windows", "windows"), ("classic", "sequential")]
)
def test_each_protocol_has_a_default_sampling(protocol: ProtocolName, sampling: Sampling) -> None:
    assert TimeMachine(protocol).sampling == sampling


@pytest.mark.parametrize("protocol", ["book", "classic"])
@pytest.mark.parametrize("sampling", get_args(Sampling))
def test_sampling_overrides_the_default(protocol: ProtocolName, sampling: Sampling, book_path: str) -> None:
    task = TimeMachine(protocol, path=book_path, sampling=sampling)
    assert task.sampling == sampling
    task.train_batch(0)


@pytest.mark.parametrize("sampling", ["sequential", "sequential_reset", "random"])
def test_windows_raises_for_another_sampling(sampling: Sampling) -> None:
    with pytest.raises(
        UsageError, match=f"protocol windows needs sampling windows, got {sampling}: leave out sampling"
    ):
        TimeMachine("windows", sampling=sampling)
    assert TimeMachine("windows", sampling="windows").sampling == "windows"


def test_unknown_protocol_raises() -> None:
    with pytest.raises(UsageError, match="protocol must be one of book, windows, classic, got other"):
        TimeMachine(cast(ProtocolName, "other"))


@pytest.mark.parametrize(
    ("protocol", "min_characters"), [("windows", 20_032), ("classic", 15_000)], ids=["windows", "classic"]
)
def test_book_too_short_for_the_protocol_raises(protocol: ProtocolName, min_characters: int, tmp_path: Path) -> None:
    file = tmp_path / "short.txt"
    file.write_text("ab" * (min_characters // 2))
    task = TimeMachine(protocol, path=str(file), sequence_length=32)
    assert len(task.text("test")) == (5032 if protocol == "windows" else 5000)
    file.write_text("ab" * (min_characters // 2 - 1))
    message = (
        f"the book has {min_characters - 2:,} characters, the test text needs {min_characters:,}: use a complete copy"
    )
    with pytest.raises(UsageError, match=f"^{message}$"):
        TimeMachine(protocol, path=str(file), sequence_length=32).text("test")


def test_book_too_short_for_a_batch_raises(tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text("the time traveller")
    with pytest.raises(UsageError, match="the training text has 14 characters, too few for a batch of 32"):
        TimeMachine(path=str(tmp_path / "short.txt")).train_dataloader()


def test_missing_book_raises_at_first_use(tmp_path: Path) -> None:
    task = TimeMachine(path=str(tmp_path / "none"))
    with pytest.raises(UsageError, match=r"does not exist: set --data\.path to timemachine\.txt or to its folder"):
        _ = task.spec


def test_classic_baseline_is_better_on_val_than_on_test(book_path: str) -> None:
    task = TimeMachine("classic", path=book_path)
    assert task.baseline_on("val").loss < task.baseline_on("test").loss


def find_real_book() -> Path | None:
    """Return the path of the real book; None if this machine does not have it."""
    paths = [Path(os.environ.get("RNN_TASKS_DATA") or "/none"), Path(__file__).parents[3] / "shared" / "data"]
    files = [path / "timemachine.txt" if path.is_dir() else path for path in paths]
    return next((file for file in files if file.is_file()), None)


REAL_BOOK = find_real_book()  # at import, before a fixture sets RNN_TASKS_DATA to a stand-in


@pytest.mark.skipif(REAL_BOOK is None, reason="the book is not at RNN_TASKS_DATA or ../shared/data")
class TestRealBook:
    """Facts that others published, or that shell commands can count."""

    @pytest.fixture
    def file(self) -> Path:
        assert REAL_BOOK is not None
        return REAL_BOOK

    def test_file_is_the_published_edition(self, file: Path) -> None:
        assert hashlib.sha1(file.read_bytes()).hexdigest() == SHA1 == "090b5e7e70c295757f55df93cb0a180b9691891a"
        text = read_text(file)
        assert text.count("\n") == 3221
        assert len(set(text)) == 70

    def test_classic_has_170580_characters(self, file: Path) -> None:
        assert len(ascii_letters_by_line(read_text(file))) == 170_580
        task = TimeMachine("classic", path=str(file))
        assert len(task.whole_text) == 170_580
        assert len(task.vocabulary) == 28

    def test_book_and_windows_have_173428_characters(self, file: Path) -> None:
        assert len(ascii_letters(read_text(file))) == 173_428
        for protocol in ("book", "windows"):
            task = TimeMachine(protocol, path=str(file.parent))
            assert len(task.whole_text) == 173_428
            assert len(task.vocabulary) == 28

    def test_book_splits_have_exact_sizes(self, file: Path) -> None:
        task = TimeMachine(path=str(file))
        # 80 % and 90 % of 173,428 are 138,742.4 and 156,085.2.
        sizes = [len(task.text(split)) for split in ("train", "val", "test")]
        assert sizes == [138_742, 156_085 - 138_742, 173_428 - 156_085]
        assert task.text("train").startswith("the time machine by h g wells i the time traveller for so it will be")

    def test_windows_baseline_is_a_4_gram_of_perplexity_5_44(self, file: Path) -> None:
        baseline = TimeMachine("windows", path=str(file), sequence_length=32).baseline_on("val")
        # An independent count with plain loops; the best published network reaches 6.11.
        assert baseline.name == "4-gram"
        assert math.exp(baseline.loss) == pytest.approx(5.44, abs=0.005)
