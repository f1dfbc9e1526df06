"""Text that a language model generates during training."""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from rnn_tasks.callbacks._monitor import log_text, takes_texts
from rnn_tasks.callbacks.progress import Progress
from rnn_tasks.errors import UsageError


class GenerationMonitor(Callback):
    """Lets the model continue a prefix after validations: logs samples, and prints some of them.

    The logged text ``samples`` holds the greedy continuation and a sampled one. The model needs a method
    ``generate(prefix, length, temperature, seed)``; sampling does not change the random numbers of training.

    Args:
        prefix: The text that the model continues; None for the task's prefix.
        length: Characters to add, ``>= 1``.
        temperature: Temperature of the sampled continuation, ``> 0``.
        every_n_validations: Validations between two logged samples, ``>= 1``.
        print_every_n_validations: Validations between two printed samples, ``>= 0``; 0 prints none.

    Raises:
        UsageError: A value outside its bounds, or a model without ``generate``.
    """

    def __init__(
        self,
        prefix: str | None = None,
        length: int = 60,
        temperature: float = 0.7,
        every_n_validations: int = 1,
        print_every_n_validations: int = 5,
    ) -> None:
        if length < 1 or every_n_validations < 1 or print_every_n_validations < 0 or temperature <= 0:
            raise UsageError(
                "length and every_n_validations must be at least 1, print_every_n_validations at least 0, and "
                "temperature above 0"
            )
        self.prefix = prefix
        self.length = length
        self.temperature = temperature
        self.every_n_validations = every_n_validations
        self.print_every_n_validations = print_every_n_validations
        self.validations = 0
        self.printed_at = -1

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not hasattr(pl_module, "generate"):
            raise UsageError(f"GenerationMonitor needs a model that generates text, got {type(pl_module).__name__}")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.sanity_checking or trainer.state.fn != "fit" or not trainer.is_global_zero:
            return
        self.validations += 1
        logs = takes_texts(trainer) and self.validations % self.every_n_validations == 0
        every = self.print_every_n_validations
        prints = every > 0 and self.validations % every == 0
        if logs or prints:
            greedy, sampled = self.samples(pl_module)
            if logs:
                block = f"temperature 0\n{greedy}\n\ntemperature {self.temperature}\n{sampled}"
                log_text(trainer, "samples", block)
            if prints:
                self._print(trainer, sampled)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.print_every_n_validations and trainer.is_global_zero and self.printed_at != trainer.global_step:
            self._print(trainer, self.samples(pl_module)[1])

    def state_dict(self) -> dict[str, Any]:
        return {"validations": self.validations}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.validations = state_dict["validations"]

    def samples(self, model: Any) -> tuple[str, str]:
        """Return the greedy continuation and a sampled one."""
        prefix = model.spec.vocabulary.prefix if self.prefix is None else self.prefix
        return model.generate(prefix, self.length, 0.0), model.generate(prefix, self.length, self.temperature)

    def _print(self, trainer: Trainer, text: str) -> None:
        self.printed_at = trainer.global_step
        bar = trainer.progress_bar_callback
        line = f"sample at step {trainer.global_step:,}: {text!r}"
        if isinstance(bar, Progress):
            bar.print(line, markup=False, highlight=False, soft_wrap=True)
        elif bar is not None:  # the bars of Lightning take only the text
            bar.print(line)
