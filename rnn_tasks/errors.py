"""Exceptions that end a command with one line, and the wording of parser errors."""

import re


class UsageError(ValueError):
    """A request that cannot be fulfilled; the message says what to do instead."""


class DivergedError(RuntimeError):
    """The loss or a weight is not finite."""


class InterruptedRunError(RuntimeError):
    """A signal stopped the run after its state was saved.

    Args:
        signum: The signal's number, as in :mod:`signal`.
    """

    def __init__(self, signum: int) -> None:
        self.signum = signum
        super().__init__(f"stopped by signal {signum}")


def require(condition: bool, message: str) -> None:
    """Raise a UsageError with this message unless the condition holds."""
    if not condition:
        raise UsageError(message)


PARSER_NOISE = re.compile(
    r"\W*(Does not|Subtypes|Errors$|Given value|Expected an? path but|Expected (a )?<class|Problem with given"
    r"|Not a valid|Subclass types|a (class|dict) )"
)
PARSER_DETAIL = re.compile(r"Type \S+.*?callable class: |\.* Got value: (Namespace|NestedArg|\{).*")
PARSER_KEY = re.compile(r'Parser key "(.*?)"')
EXPECTED_TYPE = re.compile(r"Expected (?:a )?<class '([\w.]+)'>")
NO_CLASS = re.compile(r"Not a valid subclass of (\w+)")
LITERAL_OR_NULL = re.compile(r"Subtypes: \[typing\.Literal\[.*?\], <class 'NoneType'>\]")
VALUE = re.compile(r"(?:Got|Given) value: (?!Namespace|NestedArg|\{)(.*?)(?:\. Got value: .*)?$", re.MULTILINE)
TYPE_NAMES = {
    "int": "an integer",
    "float": "a number",
    "bool": "true or false",
    "str": "a string",
    "list": "a list",
    "tuple": "a list",
    "collections.abc.Iterable": "a list",
    "dict": "a section",
}
AS_YAML = {"None": "null", "True": "true", "False": "false", "": "''"}
"""Values of Python, and how YAML writes them."""

REWORDED = {
    re.compile(r"Expected a typing\.Literal\[(.*?)\]\. Got value: (.*)"): r"must be one of \1, got \2",
    re.compile(r"Expected a typing\.Literal\[(.*?)\]$"): r"must be one of \1",
    re.compile(r"Expected a tuple with (\d+) elements\. Got value: (.*?)(\. Got value: .*)?$"): (
        r"must be a list of \1 values, got \2"
    ),
    re.compile(r"Expected a dot import path string:"): "no such class:",
    re.compile(r"No module named \S+\. Got value: (.*)"): r"no such class: \1",
    re.compile(r"Expected '(.*?)' to be a subclass of <class '(\w+)'>"): r"\1 is not a \2",
    re.compile(r"Expected an import path or a subclass spec, but got (.*?)(\. Got value: .*)?$"): (
        r"must be the name of a class, or a section with class_path; got \1"
    ),
    re.compile(r"Dict must include a class_path.*"): "the section needs class_path, the name of a class",
    re.compile(r"Option '([\w+]*)\S*' is not accepted"): r"unknown option '\1'",
}
"""Phrases of the parser, and the phrases that replace them."""


def brief(message: str) -> str:
    r"""Return an error message of the parser as one line: the option, the problem, and the value.

    Example:
        >>> brief("Parser key \"trainer.max_steps\":\n  Expected a <class 'int'>. Got value: many")
        'trainer.max_steps: must be an integer, got many'
    """
    keys: list[str] = []
    problems: list[str] = []
    for line in message.splitlines():
        text = PARSER_DETAIL.sub("", line).strip(" -.:")
        if key := PARSER_KEY.match(text):
            keys.append(key[1])
            text = text[key.end() :].strip(" :")
        if text and not PARSER_NOISE.match(text):
            for pattern, words in REWORDED.items():
                text = pattern.sub(words, text)
            problems.append(text)
    types = {*EXPECTED_TYPE.findall(message)} - {"NoneType"}
    types -= {"int"} if "float" in types else set()
    value = VALUE.search(message)
    got = "" if value is None else f", got {AS_YAML.get(value[1], value[1])}"
    choices = f", null{got}" if LITERAL_OR_NULL.search(message) else got
    problems = [text + choices * (text.startswith("must be one of") and ", got " not in text) for text in problems]
    # A learning rate may also be an object of a class, but a number is what a user means.
    if types and (not problems or {"int", "float"} & types):
        expected = " or ".join(sorted({TYPE_NAMES.get(name, name) for name in types}))
        problems = [f"must be {expected}{got}"]
    elif not problems and (kind := NO_CLASS.search(message)):
        problems = [f"must be a {kind[1]}, that is the name of a class or a section with class_path{got}"]
    return ": ".join(filter(None, [".".join(keys), *dict.fromkeys(problems)]))


def shown(value: object) -> str:
    """Return a value of a config as a message shows it: as YAML writes it, and at most 60 characters.

    Example:
        >>> shown(None), shown(True), shown("a"), shown([1, 2])
        ('null', 'true', "'a'", '[1, 2]')
    """
    text = AS_YAML.get(repr(value), repr(value))
    return text if len(text) <= 60 else f"{text[:57]}..."
