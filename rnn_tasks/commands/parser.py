"""The argument parser of the commands."""

import argparse
from typing import NoReturn

from rnn_tasks.errors import UsageError


class OneLineParser(argparse.ArgumentParser):
    """argparse, with mistakes told in one line."""

    def error(self, message: str) -> NoReturn:
        """Raise what the command line's door prints."""
        raise UsageError(message)
