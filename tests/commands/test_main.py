import gc
import io
import sys

import pytest

from rnn_tasks.cli.slow_import import slow_import
from rnn_tasks.commands import main


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("stream", "lines"), [(Terminal(), 1), (io.StringIO(), 0)])
def test_slow_import_is_announced_on_a_terminal(
    stream: io.StringIO, lines: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.delitem(sys.modules, "lightning", raising=False)
    with slow_import():
        assert not gc.isenabled()
        assert stream.getvalue().count("\n") == lines
    assert gc.isenabled()


def test_slow_import_enables_garbage_collection_after_a_failure() -> None:
    with pytest.raises(ImportError), slow_import():
        raise ImportError
    assert gc.isenabled()


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--version"])
    assert capsys.readouterr().out.startswith("rnn-tasks ")
