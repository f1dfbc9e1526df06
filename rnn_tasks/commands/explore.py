"""``rnn-tasks explore``: a page that runs trained networks in a browser."""

import os
import sys
import webbrowser
from pathlib import Path

from rnn_tasks.cli.slow_import import slow_import
from rnn_tasks.commands.parser import OneLineParser
from rnn_tasks.errors import require
from rnn_tasks.printable import printable

PAGE = "explorer.html"
MAX_RUNS = 2


def explore(arguments: list[str]) -> None:
    """Write a page that runs one network, or two side by side.

    Args:
        arguments: The arguments after ``explore``.

    Raises:
        UsageError: A run does not exist, is damaged or has diverged, the runs cannot be compared, or the output is not
            a file.
    """
    parser = OneLineParser(
        "rnn-tasks explore",
        description="Write a page that runs a trained network in a browser: type, step through time, change the "
        "network. The page is one file that needs no network connection.",
    )
    parser.add_argument(
        "run", nargs="+", help="run folder, checkpoint, or task name (its newest run); two runs are compared"
    )
    parser.add_argument(
        "--output", type=Path, help=f"file of the page (default: {PAGE} in the folder of the first run)"
    )
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    parser.add_trust()
    options = parser.parse_args(arguments)
    require(len(options.run) <= MAX_RUNS, f"at most {MAX_RUNS} runs can be compared, got {len(options.run)}")

    from rnn_tasks.cli.working_folder import allow_modules_of_run
    from rnn_tasks.runs.find import find_run

    runs = [find_run(name) for name in options.run]
    for run in runs if options.trust else ():
        allow_modules_of_run(run.folder)

    path = options.output or runs[0].folder / PAGE
    require(not path.is_dir(), f"{path} is a folder: name a file with --output, such as {path / PAGE}")
    require(
        not os.path.lexists(path) or (path.is_file() and not path.is_symlink()),
        f"{path} exists and is not a regular file: name another file with --output",
    )

    with slow_import():
        from rnn_tasks.explorer.write import MAX_BYTES, write_explorer

    size = write_explorer(runs, path, trust=options.trust)
    if size > MAX_BYTES:
        print(f"note: the page is larger than {MAX_BYTES / 1e6:.0f} MB", file=sys.stderr)
    print(f"{size / 1e6:.1f} MB\nopen {printable(str(path))}")
    if options.open:
        webbrowser.open(path.resolve().as_uri())
