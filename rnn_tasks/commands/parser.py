"""The argument parser of the commands."""

import argparse
from typing import NoReturn

from rnn_tasks.errors import UsageError


class OneLineParser(argparse.ArgumentParser):
    """An ArgumentParser that reports an error in one line."""

    def error(self, message: str) -> NoReturn:
        """Raise a UsageError, which the entry point prints."""
        raise UsageError(message)

    def add_trust(self) -> None:
        """Add the option ``--trust``."""
        self.add_argument(
            "--trust",
            action="store_true",
            help="execute the code of classes of other packages that the run's config.yaml names; "
            "only if you trust everyone who could write into the run folder",
        )
