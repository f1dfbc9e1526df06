"""``rnn-tasks export``: a trained network as an ONNX file."""

from pathlib import Path

from rnn_tasks.commands.parser import OneLineParser
from rnn_tasks.errors import require
from rnn_tasks.printable import printable

FOLDER = "export"


def export(arguments: list[str]) -> None:
    """Write one time step of a network as ONNX, with metadata and a short program that uses it.

    Args:
        arguments: The arguments after ``export``.

    Raises:
        UsageError: The run does not exist, is damaged or has diverged, a package is missing, the layer cannot be
            exported, or the output is not a folder.
    """
    parser = OneLineParser(
        "rnn-tasks export",
        description="Write one time step of a trained network as ONNX, with its state as inputs and outputs, for "
        "programs without PyTorch.",
    )
    parser.add_argument("run", help="run folder, checkpoint, or task name (its newest run)")
    parser.add_argument("--output", type=Path, help=f"folder of the files (default: {FOLDER} in the run folder)")
    parser.add_trust()
    options = parser.parse_args(arguments)

    from rnn_tasks.cli.working_folder import allow_modules_of_run
    from rnn_tasks.runs.find import find_run

    run = find_run(options.run)
    if options.trust:
        allow_modules_of_run(run.folder)
    folder = options.output or run.folder / FOLDER
    require(folder.is_dir() or not folder.exists(), f"{folder} is not a folder: name another one with --output")
    require(
        options.output is not None or not folder.is_symlink(),
        f"{folder} is a link: name the folder with --output",
    )

    from rnn_tasks.export.write import write_export

    for path in write_export(run, folder, options.trust):
        print(printable(str(path)))
