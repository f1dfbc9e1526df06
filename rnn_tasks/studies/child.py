"""One run of a study in a process of its own, which ends when the worker that started it does."""

import os
import sys
import threading

LOST = 75
"""Exit status of a run whose worker is gone."""


def end_with_the_worker() -> None:
    """Leave at once when standard input is closed: its other end is the worker's, and nobody else has it."""
    while os.read(0, 1):  # not by sys.stdin, which cannot be closed while a thread reads it
        pass
    os._exit(LOST)


def main() -> None:
    """Train as ``rnn-tasks`` with the same words does."""
    threading.Thread(target=end_with_the_worker, daemon=True).start()
    from rnn_tasks.__main__ import main as door

    words = sys.argv[1:]
    del sys.argv[1:]  # Lightning warns where it is given words that the process was given as well
    door(words)


if __name__ == "__main__":
    main()
