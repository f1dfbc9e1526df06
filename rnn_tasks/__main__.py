"""Command-line entry point: ``rnn-tasks`` and ``python -m rnn_tasks``."""

from rnn_tasks.commands import main

if __name__ == "__main__":
    main()
