"""Tests of the pages in docs/: links, and tables that must equal their data."""

import csv
import re
from collections import defaultdict
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from inspect import Parameter, signature
from pathlib import Path
from statistics import median
from typing import Any, get_args

import pandas as pd
import pytest
import yaml

from rnn_tasks import tasks
from rnn_tasks.runs.files import read_summary
from rnn_tasks.studies.published_file import RESULTS_FILE, read_published
from rnn_tasks.tasks import Automaton, Counting, Dyck, FlipFlop, GeneratedTask, WordProblem
from tests.helpers.command_line import RnnTasks
from tests.helpers.documentation import files_of_pages

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))]

RESULT_COLUMNS = {"accuracy": "test_accuracy", "exact match": "test_exact_match", "error": "test_loss_share"}
"""How a result of a recipe begins in the table of the tasks, and the column of its runs."""

LENGTH_TASKS: dict[str, GeneratedTask] = {
    "parity": Automaton(),
    "cycle_end": Automaton(language="cycle"),
    "cycle_every_step": Automaton(language="cycle", answer="every_step"),
    "s3": WordProblem(),
    "flip_flop": FlipFlop(ignore=0.9),
    "dyck": Dyck(pairs=4, max_depth=8, length=64),
    "counting": Counting(),
}
"""The tasks of tasks_lengths.csv."""

pytestmark = pytest.mark.skipif(not DOCS.is_dir(), reason="the source distribution has no docs/")


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page: its headings as GitHub names them, and its ``<a id="...">``."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return slugs | set(re.findall(r'<a id="([^"]+)">', text))


def rows_of(table: str, page: Path) -> list[list[str]]:
    """Return the cells of the body of the first table on a page whose heading line begins with ``table``."""
    lines = page.read_text().splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(table))
    end = next(number for number in range(start, len(lines)) if not lines[number].startswith("|"))
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[start + 2 : end]]


def shown(steps: list[tuple[float, str]]) -> str:
    """Return the median of steps with the range, from pairs of a number to sort by and a text; one pair for a seed."""
    texts = [text for _, text in sorted(steps)]
    middle = texts[len(texts) // 2]
    cell = middle if texts[0] == texts[-1] else f"{middle} ({texts[0]} to {texts[-1]})"
    return cell if len(texts) == 3 else f"{cell} ({len(texts)} of 3 seeds)"


def options_of(task: Callable[..., GeneratedTask]) -> dict[str, Parameter]:
    """Return the options of a task by name, without ``**options``."""
    return {name: option for name, option in signature(task).parameters.items() if option.kind != Parameter.VAR_KEYWORD}


def yaml_text(value: object) -> str:
    """Return a value as it is written in YAML; values that are not numbers are code."""
    text = str(value) if isinstance(value, list | str) else yaml.safe_dump(value).split("\n")[0]
    return text if isinstance(value, int | float) and not isinstance(value, bool) else f"`{text}`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if not re.match(r"https?:", target):
            path, _, anchor = target.partition("#")
            file = (page.parent / path).resolve() if path else page
            assert file.exists(), target
            assert not anchor or anchor in anchors(file), target


def test_cited_articles_are_on_the_page_of_references() -> None:
    references = (DOCS / "references.md").read_text()
    sources = [*(ROOT / "rnn_tasks").rglob("*.py"), *(ROOT / "configs").rglob("*.yaml"), *PAGES]
    addresses = {
        address.rstrip(".,:;)")
        for source in sources
        for address in re.findall(r"https://(?:doi\.org|arxiv\.org/abs)/[^\s>\"`]+", source.read_text())
    }
    assert len(addresses) > 20
    assert {address for address in addresses if address not in references} == set()


def test_references_are_complete() -> None:
    entries = re.split(r"^- ", (DOCS / "references.md").read_text(), flags=re.MULTILINE)[1:]
    assert len(entries) > 30
    for entry in entries:
        text = " ".join(entry.split())
        assert re.match(r'<a id="[\w-]+"></a>', text), text
        assert "Used for:" in text, text
        assert re.search(r"\b(1[89]|20)\d\d\b|without .*year|nor year", text), text


def test_readme_has_at_most_160_lines() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 160


def test_copy_delays_table_equals_its_runs() -> None:
    steps: dict[tuple[str, int], list[tuple[float, str]]] = defaultdict(list)
    with (DOCS / "copy_delays.csv").open() as file:
        for run in csv.DictReader(file):
            solved = run["verdict"] == "solved"
            step = int(run["solved_at"] if solved else run["steps"])
            text = f"{step}" if solved else f"> {step}"
            steps[run["method"], int(run["delay"])].append((step + (0 if solved else 10_000), text))
            assert not solved or float(run["test/accuracy"]) >= 0.99
    rows = rows_of("| method | delay 1 |", DOCS / "copy_delays.md")
    delays = (1, 50, 100, 200, 500, 1000, 2000)
    for row in rows:
        method, cells = row[0].strip("`"), row[1:]
        assert cells == [shown(steps.pop((method, delay))) for delay in delays], method
    assert not steps


def test_networks_table_equals_its_runs() -> None:
    runs: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    with (DOCS / "networks.csv").open() as file:
        for run in csv.DictReader(file):
            runs[run["overlay"], run["task"]].append(run)
    for row in rows_of("| `MODEL=` | recurrence", DOCS / "networks.md"):
        for task, cell in zip(("copy", "echo", "variable_delay_echo"), row[-3:], strict=True):
            three = runs.pop((row[0].strip("`"), task))
            assert [run["seed"] for run in three] == ["0", "1", "2"]
            solved = [run for run in three if run["verdict"] == "solved"]
            if len(solved) == 3:
                expected = shown([(int(run["solved_at"]), f"{int(run['solved_at']):,}") for run in three])
            else:
                accuracies = ", ".join(f"{float(run['test_worst_accuracy']):.3f}" for run in three)
                expected = f"> {int(three[0]['max_steps']):,} ({len(solved)} of 3 solved): {accuracies}"
            assert cell == expected, (row[0], task)
    assert not runs


def test_table_of_task_recipes_equals_its_runs() -> None:
    runs: dict[str, list[dict[str, str]]] = defaultdict(list)
    with (DOCS / "tasks.csv").open() as file:
        for run in csv.DictReader(file):
            runs[run["task"]].append(run)
    for name, _, steps, result, seconds in rows_of("| recipe | network |", DOCS / "tasks.md"):
        five = runs.pop(name.strip("`"))
        assert [(run["seed"], run["verdict"]) for run in five] == [(str(seed), "solved") for seed in range(5)]
        solved_at = sorted(int(run["solved_at"]) for run in five)
        assert steps == f"{solved_at[2]:,} ({solved_at[0]:,} to {solved_at[4]:,})"
        assert seconds == f"{median(float(run['seconds']) for run in five):.0f}"
        column = next(name for start, name in RESULT_COLUMNS.items() if result.startswith(start))
        shown_value = float(re.findall(r"[\d.]+", result)[0])
        value = median(float(run[column]) for run in five)
        assert shown_value == pytest.approx(
            100 * value if "%" in result else value, abs=0.05 if "%" in result else 5e-5
        )
    assert not runs


def test_table_of_layers_on_tasks_equals_its_runs() -> None:
    runs: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    with (DOCS / "tasks_layers.csv").open() as file:
        for run in csv.DictReader(file):
            runs[run["task"], run["network"]].append(run)
    for task, budget, *cells in rows_of("| task | budget |", DOCS / "tasks.md"):
        name = re.sub(r"^`(\w+)`(?:, (?:S3|(\w+)))?$", lambda found: found[2] or found[1], task)
        for network, cell in zip(("rnn", "ortho_init", "gru", "lstm"), cells, strict=True):
            three = runs.pop((name, network))
            assert [run["seed"] for run in three] == ["0", "1", "2"]
            assert {f"{int(run['max_steps']):,}" for run in three} == {budget}
            solved = sorted(int(run["solved_at"]) for run in three if run["verdict"] == "solved")
            if len(solved) == 3:
                expected = f"{solved[1]:,} ({solved[0]:,} to {solved[2]:,})"
            else:
                expected = f"{len(solved)} of 3: " if solved else "no: "
                expected += ", ".join(run["result"] for run in three)
            assert cell == expected, (task, network)
    assert not runs


def test_common_options_of_tasks_equal_the_base_class() -> None:
    rows = rows_of("| common option |", DOCS / "tasks.md")
    assert [(option, default) for option, _, default in rows] == [
        (f"`{name}`", yaml_text(option.default)) for name, option in options_of(GeneratedTask).items()
    ]


def test_option_tables_equal_the_classes_and_recipes() -> None:
    common = options_of(GeneratedTask)
    listed = re.findall(r"^\| option of `(\w+)`", (DOCS / "tasks.md").read_text(), re.MULTILINE)
    recipes = {
        path.stem: data
        for path in (ROOT / "configs").glob("*.yaml")
        if (data := yaml.safe_load(path.read_text()).get("data"))
        and issubclass(getattr(tasks, data["class_path"]), GeneratedTask)
    }
    assert sorted(listed) == sorted(recipes)
    for name, data in recipes.items():
        task, recipe = getattr(tasks, data["class_path"]), data["init_args"]
        options = options_of(task)
        has_lengths = task.at_length is not GeneratedTask.at_length
        expected: dict[str, list[str]] = {}
        for option in [*(own for own in options if own not in common), *common]:
            default = options.get(option, common.get(option)).default  # type: ignore[union-attr]  # one of them has it
            changed = option in recipe and recipe[option] != default
            if (
                option not in common
                or changed
                or default != common[option].default
                or (option == "eval_lengths" and has_lengths)
            ):
                expected[f"`{option}`"] = [yaml_text(default), yaml_text(recipe[option]) if changed else ""]
        rows = rows_of(f"| option of `{name}` |", DOCS / "tasks.md")
        assert {option: [default, value] for option, _, default, value in rows} == expected, name
        for option, meaning, _, _ in rows:
            for choice in get_args(getattr(options.get(option.strip("`")), "annotation", None)):
                assert not isinstance(choice, str) or f"`{choice}`" in meaning, (name, option, choice)


def test_chance_and_plateaus_by_length_equal_the_tasks() -> None:
    references: dict[tuple[str, int], set[tuple[str, str]]] = defaultdict(set)
    runs: dict[tuple[str, str, str], int] = defaultdict(int)
    with (DOCS / "tasks_lengths.csv").open() as file:
        for row in csv.DictReader(file):
            references[row["task"], int(row["length"])].add((row["chance"], row["plateau"]))
            runs[row["task"], row["layer"], row["seed"]] += 1
            assert 0 <= float(row["value"]) <= 1
            assert row["quantity"] == ("exact_match" if row["task"] == "counting" else "accuracy")
    assert len(runs) == len(LENGTH_TASKS) * 4 * 3
    for (name, length), found in references.items():
        ((chance, plateau),) = found
        task = LENGTH_TASKS[name].at_length(length)
        if name == "counting":  # exact match: 2 n steps to guess; repeating the last symbol is wrong once per block
            expected, best = task.baseline.accuracy ** (2 * length), float(length == 1)
        else:
            expected, best = task.baseline.accuracy, max((one.accuracy or 0 for one in task.plateaus), default=0.0)
        assert float(chance) == pytest.approx(expected, rel=1e-3), (name, length)
        assert float(plateau) == pytest.approx(best, rel=1e-3) if plateau else best <= expected + 1e-6, (name, length)


def test_picture_of_lengths_is_drawn_from_its_runs() -> None:
    spec = spec_from_file_location("tasks_lengths", DOCS / "tasks_lengths.py")
    assert spec is not None
    assert spec.loader is not None
    script: Any = module_from_spec(spec)
    spec.loader.exec_module(script)
    rows = pd.read_csv(DOCS / "tasks_lengths.csv")
    figure = script.draw(rows)
    assert list(script.PANELS) == list(LENGTH_TASKS)
    for ax, task in zip(figure.axes, script.PANELS, strict=True):
        lines = [line for line in ax.get_lines() if line.get_marker() != "None"]
        assert len(lines) == 12
        values = rows[rows["task"] == task]
        assert sorted(y for line in lines for y in line.get_ydata()) == sorted(values["value"])
        assert set(lines[0].get_xdata()) == set(values["length"])


def test_reproduce_page_lists_the_published_results() -> None:
    published = {result.name: result for result in read_published(RESULTS_FILE).results}
    page = DOCS / "reproduce.md"
    counts: dict[tuple[bool, str], int] = defaultdict(int)
    for name, what, value, ours, difference, tolerance, verdict, source in rows_of("| result | what |", page):
        result = published.pop(name)
        assert (what, value, source) == (result.what, result.published, result.source)
        assert tolerance == str(result.tolerance)
        median = float(ours.split()[0])
        assert float(difference) == pytest.approx(result.distance(median), abs=1.01 * 10**-result.decimals)
        assert (abs(result.distance(median)) <= result.tolerance + 1e-9) == (verdict == "within")
        counts[source.startswith("not published"), verdict] += 1
    assert not published
    assert dict(counts) == {(False, "within"): 25, (False, "outside"): 4, (True, "within"): 6}
    text = " ".join(page.read_text().split())
    assert "Of the 35 results, 29 are published: 25 are within their tolerance and 4 are outside." in text
    assert "29 published results: 25 within, 4 outside. 6 unpublished results: 6 within." in text


def test_real_valued_task_of_the_docs_trains(rnn_tasks: RnnTasks) -> None:
    files = files_of_pages(DOCS / "extending.md")
    for name in ("moving_average.py", "my_average.yaml"):
        Path(name).write_text(files[name])
    options = ["--trainer.max_steps=4", "--trainer.val_check_interval=2", "--data.length_sequences=5"]
    said = rnn_tasks(
        "fit", "--config", "my_average.yaml", *options, "--data.val_sequences=9", "--data.test_sequences=9"
    )
    assert (said.status, said.err) == (0, "")
    summary = read_summary(Path("lightning_logs/moving_average/version_0"))
    assert summary["metrics"]["test/loss"] > 0
    assert {"test/loss_by_length/50", "test/loss_by_length/200"} < set(summary["metrics"])
