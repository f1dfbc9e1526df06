"""7: steps and layers on a GPU: kernels' share of the time, half precision, batches made on the device."""

import statistics
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from time import perf_counter

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.cores import layers, times
from benchmarks.plain import PlainLoop
from benchmarks.rows import Bound, NotMeasuredError, Row
from benchmarks.turns import Laps, Setting, in_turn, ratio_row

STEPS = 50
"""Steps in a turn."""


def measure(setting: Setting) -> Iterator[Row]:
    """All rows.

    Raises:
        NotMeasuredError: There is no GPU.
    """
    if not torch.cuda.is_available():
        raise NotMeasuredError("no GPU")
    device = torch.device("cuda")
    for row in layers(setting, device, ", GPU"):
        yield replace(row, group="gpu", bound=None)
    for units in (128, 512):
        yield from loops(setting, device, units)
    yield from under_fit(setting)


def copy_loop(device: torch.device, units: int, half: bool = False) -> PlainLoop:
    """A plain loop on the copy task, batch 128.

    Args:
        device: Where to compute.
        units: Hidden size.
        half: Whether in bfloat16.
    """
    from rnn_tasks.cores import Elman
    from rnn_tasks.models import SequenceTagger
    from rnn_tasks.tasks import Copy

    task = Copy(batch_size=128)
    adam = partial(torch.optim.Adam, lr=1e-3)
    model = SequenceTagger(partial(Elman, hidden_size=units), task.spec, adam).to(device)
    return PlainLoop(model, task, 1.0, half=half)


def loops(setting: Setting, device: torch.device, units: int) -> Iterator[Row]:
    """Half against single precision, and batches made on the device against those that are moved there.

    Args:
        setting: How thoroughly.
        device: The GPU.
        units: Hidden size.
    """
    whole, half, made = copy_loop(device, units), copy_loop(device, units, half=True), copy_loop(device, units)
    generator = torch.Generator(device).manual_seed(0)

    def on_device() -> None:
        with device:
            batch = made.task.sample(128, "train", generator)  # type: ignore[attr-defined]  # the copy task has it
        made.step(batch)

    works: dict[str, Callable[[], object]] = {
        "single": lambda: whole(1),
        "bfloat16": lambda: half(1),
        "made on the GPU": on_device,
    }
    for work in works.values():
        times(work, 5)()

    def synchronised(work: Callable[[], object]) -> None:
        times(work, STEPS)()
        torch.cuda.synchronize()

    laps = in_turn({name: partial(synchronised, work) for name, work in works.items()}, setting.count(11, 5))
    each: Laps = {name: [found.each(STEPS) for found in some] for name, some in laps.items()}
    what = f"copy, plain step, hidden {units}, GPU"
    yield ratio_row("gpu", what, each, "bfloat16", "single")
    yield ratio_row("gpu", what, each, "made on the GPU", "single", note="over batches made on the CPU")
    for name, work in works.items():
        share = kernels_share(partial(synchronised, work))
        yield Row("gpu", f"{what}: {name}", "kernels' share of the time", (share,))


def kernels_share(work: Callable[[], object]) -> float:
    """Time in which the GPU computes over the time of a piece of work, the latter without the profiler."""
    started = perf_counter()
    work()
    seconds = perf_counter() - started
    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        work()
    events = profiler.events() or []
    kernels = [event for event in events if event.device_type.name == "CUDA"]
    return float(sum(event.time_range.elapsed_us() for event in kernels)) / 1e6 / seconds


def under_fit(setting: Setting) -> Iterator[Row]:
    """Steps under ``fit`` over those of the plain loop, on the GPU, in single and in half precision."""
    from benchmarks.interleaved import COPY, VARIABLE, step_laps

    turns = setting.count(5, 3)
    for case in (COPY, VARIABLE):
        medians = {}
        for precision in ("32-true", "bf16-mixed"):
            words = ["--trainer.accelerator=gpu", f"--trainer.precision={precision}"]
            laps = step_laps(case, ["fit", "plain"], turns, True, words)
            medians[precision] = statistics.median(found.seconds for found in laps["fit"])
            yield ratio_row("gpu", f"{case.what}, GPU, {precision}", laps, "fit", "plain", Bound("<=", 1.12))
