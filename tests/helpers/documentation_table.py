"""Print how many code blocks each page has, and how many run: ``python -m tests.helpers.documentation_table``."""

import doctest
import importlib
import pkgutil
from collections import Counter
from pathlib import Path

from sybil import Example

import rnn_tasks
from tests.helpers.command_line import CommandResult
from tests.helpers.documentation import (
    COMMAND_LANGUAGES,
    ROOT,
    commands_of,
    evaluate,
    exceptions,
    inline_commands,
    pages,
    parse,
)
from tests.helpers.documentation_checks import Runner

COLUMNS = {
    "python": "Python blocks",
    "yaml": "YAML blocks",
    "toml": "TOML blocks",
    "commands": "command blocks",
    "lines": "command lines",
    "run": "of them run",
    "inline": "commands in sentences",
    "exceptions": "exceptions",
}


def counts_of(page: Path) -> Counter[str]:
    """Return the numbers of a page by the names of :data:`COLUMNS`.

    Python blocks run, and the networks of YAML blocks are trained. A command line that does not run is parsed.

    Args:
        page: The page.
    """
    runner = Runner(lambda *_: CommandResult(0, "", ""))
    counts = Counter(inline=len(inline_commands(page.read_text())), exceptions=len(exceptions(page)))

    def count(example: Example) -> None:
        language = str(example.region.lexemes["language"])
        if language in COMMAND_LANGUAGES:
            commands = commands_of(str(example.parsed))
            run = sum(runner.arguments_to_run(command) is not None for command in commands)
            counts.update(commands=1, lines=len(commands), run=run)
        elif language in COLUMNS:
            counts[language] += 1

    evaluate(parse(page, count))
    return counts


def count_doctests() -> int:
    """Return the number of docstrings of the package that have examples, all of which run."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    names = [module.name for module in pkgutil.walk_packages(rnn_tasks.__path__, "rnn_tasks.")]
    modules = [importlib.import_module(name) for name in names if not name.endswith("__main__")]
    return sum(bool(test.examples) for module in modules for test in finder.find(module))


def main() -> None:
    """Print a Markdown table with a row for each page that has code, then the exceptions with their reasons."""
    print("| page |", " | ".join(COLUMNS.values()), "|")
    print("|---" * (len(COLUMNS) + 1) + "|")
    total: Counter[str] = Counter()
    for page in pages():
        counts = counts_of(page)
        total += counts
        if any(counts.values()):
            print(f"| {page.relative_to(ROOT)} |", " | ".join(str(counts[column]) for column in COLUMNS), "|")
    print("| all |", " | ".join(str(total[column]) for column in COLUMNS), "|")
    print(f"docstrings with examples: {count_doctests()}")
    for page in pages():
        for reason in exceptions(page):
            print(f"exception: {page.relative_to(ROOT)}: {reason}")


if __name__ == "__main__":
    main()
