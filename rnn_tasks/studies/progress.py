"""Print the progress of a study."""

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from rnn_tasks.printable import printable
from rnn_tasks.studies.plan import Plan
from rnn_tasks.studies.queue import RunQueue, RunState, unfinished
from rnn_tasks.studies.ranking import best_so_far
from rnn_tasks.studies.table import runs_table


class Progress:
    """Prints the progress of a study.

    Args:
        plan: The study.
        jobs: The number of runs at a time.
    """

    def __init__(self, plan: Plan, jobs: int) -> None:
        self.plan, self.jobs = plan, jobs
        self.seconds: list[float] = []
        self.states: dict[str, RunState] = {}
        self.results: dict[str, Mapping[str, Any]] = {}
        self.lock = threading.Lock()

    def begin(self, queue: RunQueue, changed: Mapping[str, Sequence[str]] | None = None) -> None:
        """Print the numbers of runs that are to do, done and failed.

        Args:
            queue: The queue of the study.
            changed: The names of the settings that have changed since a run was done, by the name of the run.
        """
        states = [*queue.states().values()]
        failed = states.count(RunState.FAILED)
        failures = f", {failed} failed (retry with --retry-failed)" if failed else ""
        counts = f"{unfinished(states)} of {len(states)} runs to do, {states.count(RunState.DONE)} already done"
        say(f"{self.plan.name}: {counts}{failures}")
        if changed:
            settings = ", ".join(sorted({name for names in changed.values() for name in names}))
            say(f"to do again, since settings have changed ({settings}): {', '.join(changed)}")

    def end_run(
        self, name: str, state: RunState, attributes: Mapping[str, Any], queue: RunQueue, outcome: str, seconds: float
    ) -> None:
        """Print the outcome of a run, the number of runs in each state, the time left, and the best run so far.

        Args:
            name: The name of the run.
            state: The state of the run.
            attributes: The attributes of the trial of the run.
            queue: The queue of the study.
            outcome: The outcome of the run as text.
            seconds: The duration of the run in seconds.
        """
        states, results = queue.states(), queue.results()
        with self.lock:
            self.seconds.append(seconds)
            # The database does not yet have the outcome of a run that has just ended.
            self.states[name], self.results[name] = state, attributes
            states, results = {**states, **self.states}, {**results, **self.results}
            counts = {state: [*states.values()].count(state) for state in RunState}
            left = sum(self.seconds) / len(self.seconds) * unfinished(states.values()) / self.jobs
            parts = [
                f"{name}: {outcome} ({seconds:.0f} s)",
                ", ".join(f"{count} {state.value}" for state, count in counts.items() if count),
                f"{as_hours(left)} left",
            ]
            best = best_so_far(self.plan, runs_table(self.plan, states, results))
            say("; ".join([*parts, best] if best else parts))


def say(text: str) -> None:
    """Print text at once, with escapes for characters that a terminal would obey."""
    print(printable(text, keep="\n"), flush=True)


def as_hours(seconds: float) -> str:
    """Return seconds as ``h:mm:ss``.

    Example:
        >>> as_hours(3725)
        '1:02:05'
    """
    return f"{int(seconds) // 3600}:{int(seconds) // 60 % 60:02}:{int(seconds) % 60:02}"
