"""The code blocks of the documentation: found with Sybil, and run or checked in an empty folder.

A block's language says what happens to it:

- ``python``: runs, after the earlier Python blocks of its page;
- ``toml``: is parsed;
- ``yaml``: a config is read by ``fit --print_config``, over the recipe ``echo`` unless it has ``data`` and ``model``;
  a study is read, and its first and last variants are read as configs;
- none, ``console`` or ``sh``: command lines, with the output if the lines begin with ``$``. The real parser reads
  their arguments; :class:`Session` runs them;
- ``text`` and directives such as ``{include}``: no code.

``<!-- file: NAME -->`` before a block says in which file the reader puts it; commands and configs then find that file.
``<!-- skip: next "REASON" -->`` is the exception: the next block neither runs nor is checked.
"""

import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import SkipTest

from sybil import Document, Example, Region, Sybil
from sybil.parsers.markdown import SkipParser
from sybil.parsers.markdown.lexers import RawFencedCodeBlockLexer

ROOT = Path(__file__).parents[2]
GENERATED = ("reference", "tutorials")
"""Folders of docs/ that the build of the site writes."""

COMMAND_LANGUAGES = {"", "console", "sh"}
"""Languages of blocks that hold command lines."""

LANGUAGES = {"python", "yaml", "toml", "text", *COMMAND_LANGUAGES}

FENCE = RawFencedCodeBlockLexer(re.compile(r"(?P<language>[^\n]*)$\n", re.MULTILINE))
FILE = re.compile(r"<!-- file: (\S+) -->\n\Z")
"""What stands before a block that the reader puts into a file."""

Evaluator = Callable[[Example], None]


def pages() -> list[Path]:
    """Return the Markdown pages that people write."""
    docs = ROOT / "docs"
    written = [page for page in sorted(docs.rglob("*.md")) if page.relative_to(docs).parts[0] not in GENERATED]
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *written]


@dataclass(frozen=True)
class Command:
    """A command line of a page.

    Args:
        words: The words of the command line.
        output: The lines that the page shows after it; None if the page shows no output.
        in_sentence: Whether it is in a sentence, where a command without its arguments is a name.
    """

    words: tuple[str, ...]
    output: str | None = None
    in_sentence: bool = False


def commands_of(text: str) -> list[Command]:
    """Return the command lines of a block, as a shell reads them.

    Args:
        text: The block. If a line begins with ``$``, the other lines are output.

    Raises:
        ValueError: A quote is open at the end of the block.

    Example:
        >>> commands_of('make train ARGS="-a 1 -b"  # a comment')
        [Command(words=('make', 'train', 'ARGS=-a 1 -b'), output=None, in_sentence=False)]
        >>> commands_of("$ rnn-tasks respond echo abacaba\\n    aba")
        [Command(words=('rnn-tasks', 'respond', 'echo', 'abacaba'), output='    aba', in_sentence=False)]
    """
    if re.search(r"^\$ ", text, re.MULTILINE):
        parts = [part.partition("\n") for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]]
        return [Command(tuple(shlex.split(line)), output.rstrip() or None) for line, _, output in parts]
    commands, pending = [], ""
    for line in text.replace("\\\n", " ").splitlines():
        pending += f"{line}\n"
        try:
            words = shlex.split(pending, comments=True)
        except ValueError:  # a quote is open: the next line belongs to the same command
            continue
        if words:
            commands.append(Command(tuple(words)))
        pending = ""
    if pending:
        raise ValueError(f"a quote is open: {pending}")
    return commands


def inline_commands(text: str) -> list[Command]:
    """Return the command lines in the sentences and tables of a page.

    Args:
        text: The page.
    """
    sentences = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)
    found = re.findall(r"`((?:make|pip|python|(?:\.venv/bin/)?rnn-tasks) [^`]+)`", sentences)
    return [Command(tuple(shlex.split(line)), in_sentence=True) for line in found]


def parse(page: Path, evaluator: Evaluator) -> Document:
    """Return the blocks of a page as Sybil's examples.

    Args:
        page: The page.
        evaluator: Called with each block. The block's text is ``example.parsed``; ``example.region.lexemes`` has its
            ``language``, and the name of its ``file`` or "".
    """

    def blocks(document: Document) -> Iterator[Region]:
        for region in FENCE(document):
            named = FILE.search(document.text[: region.start])
            region.lexemes["file"] = named[1] if named else ""
            region.parsed, region.evaluator = region.lexemes["source"], evaluator
            yield region

    return Sybil([SkipParser(), blocks]).parse(page)


def evaluate(document: Document) -> None:
    """Evaluate the blocks of a page in their order.

    Args:
        document: The page.
    """
    for example in document:
        try:
            example.evaluate()
        except SkipTest:
            continue


def is_known(language: str) -> bool:
    """Return whether a block has one of our languages, or is a directive of MyST such as ``{include}``."""
    return language in LANGUAGES or language.startswith("{")


def exceptions(page: Path) -> list[str]:
    """Return the reasons of the blocks of a page that neither run nor are checked.

    Args:
        page: The page.
    """
    reasons = []
    for example in parse(page, lambda _: None):
        try:
            example.evaluate()
        except SkipTest as skipped:
            reasons.append(str(skipped))
    return reasons


def files_of_pages(first: Path) -> dict[str, str]:
    """Return the files that the pages name, with their contents; of two with one name the earlier.

    Args:
        first: The page whose files come first.
    """
    files: dict[str, str] = {}

    def collect(example: Example) -> None:
        if example.region.lexemes["file"]:
            files.setdefault(str(example.region.lexemes["file"]), str(example.parsed))

    for page in [first, *pages()]:
        evaluate(parse(page, collect))
    return files
