"""Train recurrent networks on tasks that need memory, and see what they remember.

``load`` and ``train`` are imported when they are first used, so that the import of the package takes no time.
"""

TYPE_CHECKING = False  # type checkers take it for true; the import of typing would take longer than all else
if TYPE_CHECKING:
    from rnn_tasks.api import TrainedRun, load, train

__all__ = ["TrainedRun", "__version__", "load", "train"]
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """Import what ``rnn_tasks.api`` exports."""
    if name not in ("TrainedRun", "load", "train"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from rnn_tasks import api

    return getattr(api, name)


def __dir__() -> list[str]:
    """Return the names of the package, also those that are not imported yet."""
    return sorted({*globals(), *__all__})
