"""Stand-ins for trainers."""

from types import SimpleNamespace
from typing import cast

from lightning.pytorch import Trainer


def trainer_of_rank(
    rank: int = 0,
    world_size: int = 1,
    trained_batches: int = 0,
    limit_train_batches: float = 1.0,
    overfit_batches: float = 0.0,
) -> Trainer:
    """Return the attributes of a trainer that a task reads, in one of several processes."""
    progress = SimpleNamespace(total=SimpleNamespace(processed=trained_batches))
    trainer = SimpleNamespace(
        global_rank=rank,
        world_size=world_size,
        fit_loop=SimpleNamespace(epoch_loop=SimpleNamespace(batch_progress=progress)),
        limit_train_batches=overfit_batches or limit_train_batches,
        overfit_batches=overfit_batches,
        val_check_interval=1.0,
        max_epochs=-1,
        max_steps=100,
        callbacks=[],
    )
    return cast(Trainer, trainer)
