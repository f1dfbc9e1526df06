"""The import of Lightning, which takes several seconds."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def slow_import() -> Iterator[None]:
    """Announce an import on a terminal, and pause the garbage collector, which would only slow the import down."""
    if sys.stderr.isatty() and "lightning" not in sys.modules:
        print("loading PyTorch and Lightning ...", file=sys.stderr, flush=True)
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
