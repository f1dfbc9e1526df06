"""The argument parser of the commands."""

import argparse
from typing import NoReturn

from rnn_tasks.errors import UsageError


class OneLineParser(argparse.ArgumentParser):
    """An ArgumentParser that reports an error in one line."""

    def error(self, message: str) -> NoReturn:
        """Raise a UsageError, which the entry point prints."""
        raise UsageError(message)
