"""``rnn-tasks study``: many runs compared."""

import contextlib
import sys
from pathlib import Path

from rnn_tasks.commands.parser import OneLineParser
from rnn_tasks.errors import UsageError, require

STUDIES = Path("lightning_logs/studies")


def study(words: list[str]) -> None:
    """Run a study, or write what it has found; ``list`` says which there are.

    Args:
        words: The words after ``study``.

    Raises:
        UsageError: No such study, or a storage that cannot be opened.
        SystemExit: With status 1 if a run has failed.
    """
    parser = OneLineParser("rnn-tasks study", description="Compare many runs: variants times seeds, resumable.")
    actions = parser.add_subparsers(dest="action", required=True, parser_class=OneLineParser)
    run = actions.add_parser("run", help="do the runs that are not done yet, then write the report")
    report = actions.add_parser("report", help="write what is known so far")
    actions.add_parser("list", help="the shipped studies")
    for action in (run, report):
        action.add_argument("name", help="a shipped study, or a YAML file")
        action.add_argument("--large", action="store_true", help="the larger setting of the study")
        action.add_argument("--storage", help="address of a database that several machines share (a SQLite file)")
    run.add_argument("--jobs", type=int, default=1, help="runs at a time on this machine (1)")
    run.add_argument(
        "--retry-failed",
        action="store_true",
        help="do failed runs again, from the beginning; one that lacked room on the disk or was killed always is",
    )
    given = parser.parse_args(words)

    from rnn_tasks.studies.plan import read_plan, study_names

    if given.action == "list":
        for name in study_names():
            plan = read_plan(name)
            takes = "" if plan.takes is None else f", {plan.takes:g} minutes on two cores"
            print(f"{name}  {len(plan.cells())} runs{takes}  {plan.about}")
        return
    plan = read_plan(given.name, given.large)
    require(given.action == "report" or given.jobs >= 1, "jobs must be at least 1")
    folder = STUDIES / plan.name
    local = folder / "study.db"
    if given.action == "report" and given.storage is None and not local.is_file():
        raise UsageError(f"nothing is known of {plan.name} yet: rnn-tasks study run {given.name}")
    folder.mkdir(parents=True, exist_ok=True)
    address = given.storage or f"sqlite:///{local}"

    from rnn_tasks.studies.queue import Ledger, told_in_one_line
    from rnn_tasks.studies.report import write_study
    from rnn_tasks.studies.table import rows_of

    good = True
    if given.action == "run":
        from rnn_tasks.studies.worker import work_on

        good = work_on(plan, address, folder / "runs", given.jobs, given.retry_failed)
    with told_in_one_line(address), contextlib.closing(Ledger(plan, address)) as ledger:
        rows = rows_of(plan, ledger.states(), ledger.results())
    command = f"rnn-tasks study run {given.name}{' --large' if given.large else ''}"
    page = write_study(plan, rows, folder / "report", command)
    print((folder / "report" / "summary.md").read_text())
    print(f"open {page}")
    if not good:
        sys.exit(1)
