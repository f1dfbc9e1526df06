"""Write the data of runs, the scripts and the style into one HTML file that opens from disk."""

import base64
import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from rnn_tasks.explorer.export import load_runs, page_data, page_sequences, with_weights
from rnn_tasks.printable import printable
from rnn_tasks.report.run_data import RunData
from rnn_tasks.report.write import one_thread
from rnn_tasks.runs.files import require_writable, write_atomically
from rnn_tasks.runs.find import RunLocation

SCRIPTS = (
    "operations.js",
    "layers.js",
    "engine.js",
    "statistics.js",
    "charts.js",
    "inputs.js",
    "models.js",
    "measure.js",
    "panels/shared.js",
    "panels/answer.js",
    "panels/state.js",
    "panels/memory.js",
    "panels/plane.js",
    "panels/change.js",
    "header.js",
    "saving.js",
    "page.js",
)
"""The scripts in the order in which they run."""

STYLE, TEMPLATE = "style.css", "page.html"

MAX_BYTES = 4_000_000
"""The size in bytes below which a page stays, if the weights of its networks fit in 16 bits each."""

ESCAPES = {ord(character): f"\\u{ord(character):04x}" for character in "<>&"}
"""Characters of JSON that could end a script element, and how JSON writes them too."""

ENVIRONMENT = Environment(
    loader=PackageLoader("rnn_tasks.explorer", ""),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


def write_explorer(places: Sequence[RunLocation], path: Path, trust: bool = False) -> int:
    """Write the page of one or two runs.

    Args:
        places: The run folders or checkpoints.
        path: The file; its folder is created if it does not exist.
        trust: Whether the config of a run may name classes of packages other than rnn_tasks, torch and lightning.

    Returns:
        The size of the page in bytes.

    Raises:
        UsageError: A run is broken, has diverged or needs trust, or the runs are of different tasks.
        OSError: The file cannot be written.
    """
    require_writable(path.parent)  # fail before the slow parts
    with timed("Runs"):
        runs = load_runs(places, trust)
    content = page_of_runs(runs).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content)
    return len(content)


def page_of_runs(runs: Sequence[RunData]) -> str:
    """Return the page of one or two runs as HTML.

    Args:
        runs: The runs, of the same task.

    Raises:
        UsageError: A network can neither run in the page nor be recorded.
    """
    task = runs[0].task_name
    title = f"{task}: explore a trained network" if len(runs) == 1 else f"{task}: explore two trained networks"
    with one_thread(), timed("Sequences"):
        sequences = page_sequences(runs)
        batch = None if sequences is None else sequences.batch
        data = page_data(runs, sequences)
    with one_thread(), timed("Weights"):
        most_bytes = MAX_BYTES - len(page(title, data).encode())
        return page(title, with_weights(data, runs, batch, most_bytes))


@contextmanager
def timed(part: str) -> Iterator[None]:
    """Print how long a part of the work took, if it took more than a second.

    Args:
        part: The name of the part.
    """
    start = time.perf_counter()
    yield
    seconds = time.perf_counter() - start
    if seconds > 1:
        print(f"{part}  {seconds:.1f} s", flush=True)


def page(title: str, data: Mapping[str, Any]) -> str:
    """Return the page as HTML.

    Args:
        title: The title of the page.
        data: The data of :func:`rnn_tasks.explorer.export.page_data`.

    Raises:
        ValueError: A number of the data is not finite.
    """
    style, scripts = part(STYLE), [part(name) for name in SCRIPTS]
    return ENVIRONMENT.get_template(TEMPLATE).render(
        title=printable(title), csp=policy(style, scripts), style=style, scripts=scripts, data=json_text(data)
    )


def part(name: str) -> str:
    """Return the contents of a file of this package, with line feeds at the ends of its lines, as browsers read it.

    Args:
        name: The name of the file.
    """
    return files("rnn_tasks.explorer").joinpath(name).read_text(encoding="utf-8")


def json_text(data: Mapping[str, Any]) -> str:
    r"""Return data as JSON that is safe in a script element: ASCII without ``<``, ``>`` and ``&``.

    Args:
        data: Plain values with finite numbers.

    Raises:
        ValueError: A number is not finite.

    Example:
        >>> print(json_text({"a": "</script>"}))
        {"a":"\u003c/script\u003e"}
    """
    return json.dumps(data, allow_nan=False, separators=(",", ":")).translate(ESCAPES)


def policy(style: str, scripts: Sequence[str]) -> str:
    """Return a Content-Security-Policy that allows this style and these scripts, and no connection.

    Args:
        style: The text of the style element.
        scripts: The texts of the script elements.
    """
    hashes = " ".join(map(source_hash, scripts))
    return (
        f"default-src 'none'; script-src {hashes}; style-src {source_hash(style)}; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def source_hash(text: str) -> str:
    """Return the hash by which a policy allows the text of an element.

    Example:
        >>> source_hash("")
        "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
    """
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
