"""A trained network and data of other symbols."""

import random
from pathlib import Path

import pytest

from tests.helpers.command_line import RnnTasks, small

TEXT = ["--config=text", "--data.path=a.txt", "--data.batch_size=4", "--data.sequence_length=8"]
TEXT += [
    "--model.core.hidden_size=16",
    "--trainer.max_steps=4",
    "--trainer.val_check_interval=2",
    "--trainer.accelerator=cpu",
]
BEST = "lightning_logs/{}/version_0/checkpoints/best.ckpt"


def write_words(name: str, letters: str, seed: int = 0) -> None:
    draw = random.Random(seed)
    Path(name).write_text(" ".join("".join(draw.choices(letters, k=4)) for _ in range(400)))


def test_network_is_tested_on_a_text_of_other_letters(rnn_tasks: RnnTasks) -> None:
    write_words("a.txt", "abc")
    assert rnn_tasks("fit", *TEXT).status == 0
    for letters, note in {"abc": "", "abcd": "the characters 'd'", "xyz": "the characters 'xyz'"}.items():
        write_words("b.txt", letters, seed=1)
        result = rnn_tasks("test", *TEXT, "--data.path=b.txt", f"--ckpt_path={BEST.format('text')}")
        assert result.status == 0
        assert note in result.err


@pytest.mark.parametrize(
    ("letters", "message"),
    [
        ("xyz", "this text has new characters 'xyz' and no characters 'abc'"),
        ("abcd", "this text has new characters 'd'"),
        ("cba", "the text has changed since the checkpoint was saved"),
    ],
)
def test_resume_with_a_changed_text_is_refused(rnn_tasks: RnnTasks, letters: str, message: str) -> None:
    write_words("a.txt", "abc")
    assert rnn_tasks("fit", *TEXT).status == 0
    write_words("a.txt", letters)
    result = rnn_tasks("resume", "text", "--trainer.max_steps=6")
    assert result.status == 2
    assert message in result.err
    assert result.err.count("\n") == 1


def test_echo_network_is_tested_on_other_delays_only(rnn_tasks: RnnTasks) -> None:
    assert rnn_tasks("fit", "--config=echo", *small("echo")).status == 0
    arguments = ["test", "--config=echo", *small("echo"), f"--ckpt_path={BEST.format('echo')}"]
    assert rnn_tasks(*arguments, "--data.delay=2", "--data.max_eval_length=40").status == 0
    result = rnn_tasks(*arguments, "--data.alphabet_size=10")
    assert result.status == 2
    assert "letters 'abcdefghijklmnopqrstuvwxyz', not 'abcdefghij'" in result.err
