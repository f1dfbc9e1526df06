"""Reading a config: traps of YAML, and the line of each problem."""

from pathlib import Path

import pytest

from rnn_tasks.cli.config_file import read_config_file
from rnn_tasks.cli.shipped import CONFIGS
from rnn_tasks.errors import UsageError

ALIASES = b"a: &a [x, x, x, x]\n" + b"".join(
    b"%c: &%c [*%c, *%c, *%c, *%c]\n" % (letter, letter, *[letter - 1] * 4) for letter in range(ord("b"), ord("u"))
)
"""YAML of 20 lines that stands for 4 ** 20 values."""

PROBLEMS = {
    "key twice": (b"model:\n  a: 1\n  b: 2\n  a: 3\n", "line 4: the key a occurs twice, first in line 2"),
    "key twice in a flow": (b"a: {lr: 1, lr: 1}\n", "line 1: the key lr occurs twice"),
    "quoted key twice": (b"a: 1\n'a': 1\n", "line 2: the key a occurs twice"),
    "tab": (b"model:\n\ta: 1\n", "line 2: indent with spaces, not with tabs"),
    "UTF-16": ("model: 1\n".encode("utf-16"), "is not text in UTF-8"),
    "binary": (bytes(range(256)), "is not text in UTF-8"),
    "zero byte": (b"a: 1\nb: \x00\n", "line 2: a control character is not allowed"),
    "escape": (b"a: \x1b[0m\n", "line 1: a control character is not allowed"),
    "list": (b"- a\n", "must hold sections such as 'data:' and 'model:', but holds a list"),
    "word": (b"echo", "but holds a str"),
    "empty": (b"", "but holds nothing"),
    "comment": (b"# nothing\n", "but holds nothing"),
    "deep flow": (b"a: " + b"[" * 100_000, "line 1: more than 50 levels of nesting"),
    "deep blocks": (b"\n".join(b" " * level + b"a:" for level in range(900)), "line 51: more than 50 levels"),
    "alias of itself": (b"a: &a [*a]\n", "an alias that contains itself"),
    "aliases of aliases": (ALIASES, "has more than 100,000 values"),
    "unknown alias": (b"a: *b\n", "line 1: found undefined alias"),
    "two documents": (b"a: 1\n---\nb: 2\n", "line 2: but found another document"),
    "tag of Python": (b"a: !!python/object/apply:os.system [ls]\n", "line 1: could not determine a constructor"),
    "list as key": (b"? [a]\n: b\n", "line 1: found unhashable key"),
    "open bracket": (b"a: [b", "line 2: did not find expected"),
}


@pytest.mark.parametrize(("content", "message"), PROBLEMS.values(), ids=PROBLEMS)
def test_problem_of_a_config_is_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    with pytest.raises(UsageError) as error:
        read_config_file(path)
    assert str(error.value).startswith(f"{path} ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_config_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        read_config_file(tmp_path / "nothing.yaml")


def test_values_are_read_as_the_parser_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: &a {b: 1e-3, c: 2020-01-01}\nd: {<<: *a, b: 2}\ne: 1.0e-3\nf: 20_000\n")
    shared = {"b": 0.001, "c": "2020-01-01"}
    assert read_config_file(path) == {"a": shared, "d": {**shared, "b": 2}, "e": 0.001, "f": 20_000}


def test_every_shipped_config_is_read() -> None:
    assert all(read_config_file(path) for path in CONFIGS.rglob("*.yaml"))
