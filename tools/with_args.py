"""Run a command with the arguments in the environment variable ARGS, which are split at spaces outside quotes.

Nothing else in ARGS has a meaning: no part of it runs as a command. Usage: ``with_args.py PROGRAM [ARGUMENT ...]``
"""

import os
import shlex
import sys

try:
    words = shlex.split(os.environ.get("ARGS", ""))
except ValueError as error:
    sys.exit(f"error in ARGS: {error}")
os.execv(sys.argv[1], [*sys.argv[1:], *words])
