import os
from collections.abc import Iterator

import pytest

from rnn_tasks.cli.streams import unfailing_stream


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Return the two ends of a pipe."""
    reading, writing = os.pipe()
    yield reading, writing
    for number in (reading, writing):
        try:
            os.close(number)
        except OSError:
            continue


def test_unfailing_stream_writes_what_can_be_read(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    print("one\ntwo", file=unfailing_stream(writing), flush=True)
    assert os.read(reading, 100) == b"one\ntwo\n"


def test_unfailing_stream_drops_output_without_a_reader(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    os.close(reading)
    stream = unfailing_stream(writing)
    for _ in range(3):
        print("nobody reads this", file=stream, flush=True)
    stream.close()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_unfailing_stream_drops_output_on_a_full_disk() -> None:
    number = os.open("/dev/full", os.O_WRONLY)
    stream = unfailing_stream(number)
    print("no room", file=stream, flush=True)
    stream.close()
    os.close(number)


@pytest.mark.parametrize(
    ("encoding", "written"),
    [("utf-8", "Ж\\udc80".encode()), ("cp1252", b"\\u0416\\udc80"), ("ascii", b"\\u0416\\udc80")],
)
def test_unfailing_stream_escapes_what_the_encoding_lacks(pipe: tuple[int, int], encoding: str, written: bytes) -> None:
    reading, writing = pipe
    print("Ж\udc80", end="", file=unfailing_stream(writing, encoding), flush=True)
    assert os.read(reading, 100) == written
