"""``rnn-tasks study``: run many networks and compare them."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rnn_tasks.commands.parser import OneLineParser
from rnn_tasks.errors import UsageError, require

if TYPE_CHECKING:
    from rnn_tasks.studies.plan import Plan

FOLDER = Path("lightning_logs/studies")
"""The folder that holds a folder for each study."""


def study(arguments: list[str]) -> None:
    """Run a study, write its report, or list the studies that have names.

    Args:
        arguments: The arguments after ``study``.

    Raises:
        UsageError: The study does not exist, or its database cannot be opened.
        SystemExit: With status 1 if a run failed.
    """
    parser = OneLineParser(
        "rnn-tasks study", description="Train every combination of variants and seeds, and compare the runs."
    )
    actions = parser.add_subparsers(dest="action", required=True, parser_class=OneLineParser)
    run = actions.add_parser("run", help="do the pending runs, then write the report")
    report = actions.add_parser("report", help="write the report of the runs that are done")
    actions.add_parser("list", help="list the studies of this package and of installed plug-ins")
    collect = actions.add_parser("collect", help="write the results of suites into one CSV")
    collect.add_argument(
        "names", nargs="+", metavar="name", help="name of a study with a tuned axis, or path of its YAML file"
    )
    collect.add_argument("--output", type=Path, required=True, help="path of the CSV")
    for action in (run, report):
        action.add_argument("name", help="name of a study, or path of a YAML file")
        action.add_argument("--large", action="store_true", help="use the larger setting of the study")
        action.add_argument("--storage", help="URL of a database that several machines share (default: a SQLite file)")
    run.add_argument("--jobs", type=int, default=1, help="number of runs at a time on this machine (default: 1)")
    run.add_argument(
        "--retry-failed",
        action="store_true",
        help="retry all failed runs from scratch; runs that were killed or found the disk full are always retried",
    )
    options = parser.parse_args(arguments)

    from rnn_tasks.studies.plan_file import read_plan, study_names

    if options.action == "list":
        from rnn_tasks.plugins import warn

        for name in study_names():
            try:
                plan = read_plan(name)
            except UsageError as error:  # a study of a plug-in that is not valid
                warn(str(error))
                continue
            minutes = "" if plan.takes is None else f", {plan.takes:g} minutes on two cores"
            print(f"{name}  {len(plan.runs())} runs{minutes}  {plan.about}")
        return
    if options.action == "collect":
        collect_results([read_plan(name) for name in options.names], options.output)
        return
    plan = read_plan(options.name, options.large)
    if options.action == "run":
        require(options.jobs >= 1, f"jobs must be at least 1, got {options.jobs}")
    folder = FOLDER / plan.name
    database = folder / "study.db"
    if options.action == "report" and options.storage is None and not database.is_file():
        raise UsageError(f"{plan.name} has no runs yet; start it with: rnn-tasks study run {options.name}")
    folder.mkdir(parents=True, exist_ok=True)
    url = options.storage or f"sqlite:///{database}"

    from rnn_tasks.studies.progress import say
    from rnn_tasks.studies.queue import OPENING, TIMING
    from rnn_tasks.studies.report import SUMMARY, write_study
    from rnn_tasks.studies.table import read_runs
    from rnn_tasks.studies.worker import work_on

    all_done, opening = True, OPENING
    if options.action == "run":
        opening = TIMING.patience
        all_done = work_on(plan, url, folder / "runs", options.jobs, options.retry_failed)
    command = f"rnn-tasks study run {options.name}{' --large' if options.large else ''}"
    page = write_study(plan, read_runs(plan, url, opening), folder / "report", command)
    say(f"{(page.parent / SUMMARY).read_text(encoding='utf-8')}\nopen {page}")
    if not all_done:
        sys.exit(1)


def collect_results(plans: "list[Plan]", output: Path) -> None:
    """Write the results of suites into one CSV.

    Args:
        plans: The studies.
        output: The path of the CSV.

    Raises:
        UsageError: A study is no suite, or has no runs yet.
    """
    from rnn_tasks.runs.files import write_atomically
    from rnn_tasks.studies.progress import say
    from rnn_tasks.studies.results import results_csv, results_of
    from rnn_tasks.studies.suite_report import is_suite
    from rnn_tasks.studies.table import read_runs

    tables = []
    for plan in plans:
        database = FOLDER / plan.name / "study.db"
        require(is_suite(plan), f"{plan.name} is no suite: it needs the axes task and layer, and a tuned axis")
        require(database.is_file(), f"{plan.name} has no runs yet; start it with: rnn-tasks study run {plan.name}")
        tables.append(results_of(plan, read_runs(plan, f"sqlite:///{database}")))
    output.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(output, results_csv(tables))
    say(f"{sum(map(len, tables)):,} runs in {output}")
