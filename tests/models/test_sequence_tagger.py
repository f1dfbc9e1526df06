from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any, Literal, cast

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn
from torch.optim import Adam

from rnn_tasks.cores import GRU, LSTM, RNN, Core, Elman, Foreign
from rnn_tasks.errors import UsageError
from rnn_tasks.models import SequenceTagger
from rnn_tasks.models.sequence_tagger import ConditionalLinear
from rnn_tasks.spec import NOT_SCORED, Batch, TaskSpec
from rnn_tasks.tasks import Copy, Echo, GeneratedTask, VariableDelayEcho

Place = Literal["input", "readout", "both"]
PLACES: tuple[Place, ...] = ("input", "readout", "both")
CORES: dict[str, Callable[[int], Core]] = {
    "Elman": partial(Elman, hidden_size=6),
    "matrix_exp": partial(Elman, hidden_size=6, orthogonal_map="matrix_exp"),
    "RNN": partial(RNN, hidden_size=6),
    "GRU": partial(GRU, hidden_size=6),
    "LSTM": partial(LSTM, hidden_size=6),
    "Foreign": partial(Foreign, hidden_size=6, layer=nn.GRU),
}
ELMAN = CORES["Elman"]
TASKS: dict[str, GeneratedTask] = {
    "echo": Echo(delay=2, sequence_length=7, alphabet_size=5),
    "variable_delay_echo": VariableDelayEcho(max_delay=3, sequence_length=7, alphabet_size=5),
    "copy": Copy("recall", num_symbols=3, alphabet_size=5, delay=4, min_delay=2),
}


def tagger(task: str = "variable_delay_echo", core: Callable[[int], Core] = ELMAN, **options: Any) -> SequenceTagger:
    return SequenceTagger(core, TASKS[task].spec, partial(Adam, lr=0.02), **options)


def trainer(**options: Any) -> Trainer:
    """A trainer that writes nothing."""
    return Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )


def trained_alone(model: SequenceTagger) -> SequenceTagger:
    """The model as in a step of training that is not logged."""
    model.trainer = trainer(log_every_n_steps=0)
    return model


def mean_cross_entropy(logits: Tensor, targets: Tensor) -> float:
    """By NumPy, over the scored steps."""
    values, goals = logits.detach().double().numpy(), targets.numpy()
    losses = []
    for row, step in zip(*np.nonzero(goals != NOT_SCORED), strict=True):
        scores = values[row, step]
        losses.append(np.log(np.exp(scores - scores.max()).sum()) + scores.max() - scores[goals[row, step]])
    return float(np.mean(losses))


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("core", CORES)
def test_the_loss_is_the_mean_cross_entropy_over_the_scored_steps(task: str, core: str) -> None:
    model = trained_alone(tagger(task, CORES[core]))
    batch = TASKS[task].train_batch(0)
    loss = model.training_step(batch, 0)
    assert loss.item() == pytest.approx(mean_cross_entropy(model(batch.inputs, batch.condition), batch.targets))


def test_gradients_are_those_of_a_plain_network() -> None:
    model = trained_alone(tagger(condition_at="both").double())
    batch = TASKS["variable_delay_echo"].train_batch(0)
    assert batch.condition is not None
    model.training_step(batch, 0).backward()  # type: ignore[no-untyped-call]  # torch has no types for it
    weights = {name: p.detach().clone().requires_grad_() for name, p in model.named_parameters()}
    losses = []
    for letters, targets, condition in zip(batch.inputs, batch.targets, batch.condition, strict=True):
        hidden = torch.zeros(6, dtype=torch.double)
        for letter, target in zip(letters, targets, strict=True):
            column = weights["core.weight_ih_l0"][:, letter] + weights["core.weight_ih_l0"][:, 6 + condition]
            bias = weights["core.bias_ih_l0"] + weights["core.bias_hh_l0"]
            hidden = torch.tanh(column + bias + weights["core.weight_hh_l0"] @ hidden)
            if target != NOT_SCORED:
                logits = hidden @ weights["readout.weight"][condition] + weights["readout.bias"][condition, 0]
                losses.append(logits.logsumexp(0) - logits[target])
    expected = torch.autograd.grad(torch.stack(losses).mean(), list(weights.values()))
    for (name, parameter), gradient in zip(model.named_parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, atol=1e-12, rtol=1e-9, msg=name)


def test_two_processes_together_have_the_loss_of_all_their_steps() -> None:
    """Lightning averages over processes, whose batches may have different numbers of scored steps."""
    model = trained_alone(tagger())
    batch = TASKS["variable_delay_echo"].train_batch(0)
    order = batch.scored.sum(1).argsort()
    assert batch.condition is not None
    batch = Batch(batch.inputs[order], batch.targets[order], condition=batch.condition[order])
    whole = model.training_step(batch, 0)
    halves = [batch.rows(0, 64), batch.rows(64, 128)]
    counts = torch.stack([half.scored.sum() for half in halves]).float()
    assert counts[0] != counts[1]

    def reduce(own: Tensor, reduce_op: str) -> Tensor:
        assert own in counts
        return {"mean": counts.mean(), "sum": counts.sum()}[reduce_op]

    loops = SimpleNamespace(epoch_loop=SimpleNamespace(_batches_that_stepped=0))
    strategy = SimpleNamespace(reduce=reduce)
    two = SimpleNamespace(world_size=2, strategy=strategy, log_every_n_steps=0, fit_loop=loops)
    model.trainer = cast(Trainer, two)
    losses = torch.stack([model.training_step(half, 0) for half in halves])
    torch.testing.assert_close(losses.mean(), whole)
    assert not torch.allclose(model.training_step(halves[0], 0), whole)


@pytest.mark.parametrize("condition_at", PLACES)
@pytest.mark.parametrize("embedding_size", [None, 4])
def test_the_condition_matters_wherever_it_enters(condition_at: Place, embedding_size: int | None) -> None:
    model = tagger(condition_at=condition_at, embedding_size=embedding_size)
    letters = torch.randint(0, 6, (1, 7)).expand(4, 7)
    logits = model(letters, torch.arange(4))
    for first in range(4):
        for second in range(first):
            assert ((logits[first] - logits[second]).abs().amax(-1) > 1e-3).all()


@pytest.mark.parametrize("embedding_size", [None, 4])
def test_a_condition_at_the_readout_alone_leaves_the_layer_alone(embedding_size: int | None) -> None:
    model = tagger(condition_at="readout", embedding_size=embedding_size)
    letters = torch.randint(0, 6, (2, 7))
    read = [model.encode(letters, torch.tensor(condition)) for condition in ([0, 1], [3, 2])]
    assert torch.equal(*read)
    assert read[0].shape[-1] == (embedding_size or 6)


def repeated(counts: list[int]) -> Batch:
    """A batch of strings that come so often one after another, with any conditions."""
    batch = VariableDelayEcho(max_delay=3, sequence_length=7, alphabet_size=5).train_batch(0)
    assert batch.condition is not None
    rows = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    condition = batch.condition[: len(rows)]
    return Batch(batch.inputs[rows], batch.targets[rows], condition=condition)


@pytest.mark.parametrize("counts", [[4, 4, 4], [2, 1, 9], [12]], ids=str)
@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("condition_at", PLACES)
def test_sequences_that_only_the_readout_tells_apart_are_read_once(
    condition_at: Place, core: str, counts: list[int]
) -> None:
    model = tagger(core=CORES[core], condition_at=condition_at).double()
    batch = repeated(counts)
    read: list[int] = []
    model.core.register_forward_pre_hook(lambda core, arguments: read.append(len(arguments[0])))
    alone = [model(batch.inputs[row : row + 1], batch.condition[row : row + 1]) for row in range(12)]  # type: ignore[index]
    weights = list(model.parameters())
    expected = torch.cat(alone)
    scale = torch.linspace(-1, 1, expected.numel()).view_as(expected)
    gradients = torch.autograd.grad((expected * scale).sum(), weights, allow_unused=True)
    read.clear()
    found = model.logits(batch, "train")
    assert read == [len(counts) if condition_at == "readout" else 12]
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)
    for one, other in zip(
        torch.autograd.grad((found * scale).sum(), weights, allow_unused=True), gradients, strict=True
    ):
        torch.testing.assert_close(one, other, atol=1e-11, rtol=0)


def test_a_batch_of_one_sequence_and_one_of_different_ones_are_read_as_they_are() -> None:
    model = tagger(condition_at="readout")
    for batch in (repeated([1]), repeated([1, 2, 3])):
        torch.testing.assert_close(model.logits(batch, "val"), model(batch.inputs, batch.condition))


def test_one_hot_symbols_and_condition_stand_beside_one_another() -> None:
    encoded = tagger().encode(torch.tensor([[2, 0], [5, 5]]), torch.tensor([1, 3]))
    expected = torch.zeros(2, 2, 6 + 4)
    for row, step, symbol, condition in [(0, 0, 2, 1), (0, 1, 0, 1), (1, 0, 5, 3), (1, 1, 5, 3)]:
        expected[row, step, symbol] = expected[row, step, 6 + condition] = 1
    torch.testing.assert_close(encoded, expected, atol=0, rtol=0)


def test_embedded_symbols_and_condition_stand_beside_one_another() -> None:
    model = tagger(embedding_size=4)
    assert model.symbol_embedding is not None
    assert model.condition_embedding is not None
    encoded = model.encode(torch.tensor([[2, 0]]), torch.tensor([3]))
    for step, symbol in enumerate([2, 0]):
        expected = torch.cat([model.symbol_embedding.weight[symbol], model.condition_embedding.weight[3]])
        torch.testing.assert_close(encoded[0, step], expected, atol=0, rtol=0)


def test_an_embedding_is_a_factor_of_the_input_weights() -> None:
    """One-hot symbols with U E as input weights are the same network."""
    embedded, plain = tagger("echo", embedding_size=4), tagger("echo")
    assert embedded.symbol_embedding is not None
    weights = embedded.state_dict()
    weights["core.weight_ih_l0"] = weights["core.weight_ih_l0"] @ weights.pop("symbol_embedding.weight").T
    plain.load_state_dict(weights)
    letters = torch.randint(0, 6, (3, 7))
    torch.testing.assert_close(embedded(letters), plain(letters))


def test_a_conditional_readout_is_a_linear_one_for_each_row() -> None:
    readout = ConditionalLinear(5, 3, num_conditions=4)
    hidden, condition = torch.randn(6, 7, 5), torch.tensor([3, 0, 0, 2, 1, 3])
    for row, output in enumerate(readout(hidden, condition)):
        linear = nn.Linear(5, 3)
        with torch.no_grad():
            linear.weight.copy_(readout.weight[condition[row]].T)
            linear.bias.copy_(readout.bias[condition[row], 0])
        torch.testing.assert_close(output, linear(hidden[row]))


def test_a_conditional_readout_starts_within_the_bound_of_a_linear_one() -> None:
    readout, linear = ConditionalLinear(64, 50, num_conditions=4), nn.Linear(64, 200)
    for ours, theirs in ((readout.weight, linear.weight), (readout.bias, linear.bias)):
        assert ours.abs().max().item() == pytest.approx(theirs.abs().max().item(), rel=0.05)
        assert ours.std().item() == pytest.approx(theirs.std().item(), rel=0.1)


@pytest.mark.parametrize("core", CORES)
def test_a_quiet_blank_has_no_input_weights_and_no_other_symbol_is_touched(core: str) -> None:
    torch.manual_seed(1)
    plain = tagger("copy", CORES[core])
    torch.manual_seed(1)
    quiet = tagger("copy", CORES[core], quiet_blank=True)
    blank = TASKS["copy"].spec.blank
    assert blank == 5
    for weight, before in zip(quiet.core.input_weights(), plain.core.input_weights(), strict=True):
        expected = before.detach().clone()
        expected[:, blank] = 0
        assert before[:, blank].abs().min() > 0
        torch.testing.assert_close(weight.detach(), expected, atol=0, rtol=0)
    for name, parameter in quiet.named_parameters():
        if "weight_ih_l0" not in name:
            torch.testing.assert_close(parameter, plain.get_parameter(name), atol=0, rtol=0)


def test_a_quiet_blank_has_an_empty_embedding() -> None:
    model = tagger("copy", embedding_size=4, quiet_blank=True)
    assert model.symbol_embedding is not None
    assert (model.symbol_embedding.weight == 0).all(1).tolist() == [False] * 5 + [True, False]


def test_a_task_without_a_blank_has_none_to_quieten() -> None:
    model = SequenceTagger(ELMAN, TaskSpec(5, 5, blank=None), Adam, quiet_blank=True)
    assert all((weight != 0).all() for weight in model.core.input_weights())


def test_a_blank_whose_weights_are_unknown_is_refused() -> None:
    unknown = partial(Foreign, hidden_size=6, layer=nn.GRU, input="other")
    with pytest.raises(UsageError, match="quiet_blank needs to know the layer's input weights"):
        tagger("copy", unknown, quiet_blank=True)


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("task", TASKS)
def test_respond_says_what_a_forward_pass_by_hand_says(task: str, core: str) -> None:
    model, spec = tagger(task, CORES[core]), TASKS[task].spec
    assert spec.codec is not None
    delay = 2
    batch = spec.codec.encode(["ecabd" if task != "copy" else "412"], delay)
    with torch.no_grad():
        symbols = model(batch.inputs, batch.condition).argmax(-1)[0]
    scored = batch.scored[0].tolist()
    text = "".join(spec.codec.symbols[s] if due else " " for s, due in zip(symbols, scored, strict=True))
    assert model.respond("ecabd" if task != "copy" else "412", delay) == text


@pytest.mark.parametrize("task", TASKS)
def test_several_texts_are_answered_as_one_by_one(task: str) -> None:
    letters = "abcde" if task != "copy" else "01234"
    texts = [letters, letters[0], letters[::-1] * 3, letters[1:3]]
    model = tagger(task)
    assert model.respond(texts, delay=2) == [model.respond(text, delay=2) for text in texts]


def test_an_answer_is_as_long_as_its_input_and_empty_where_none_is_due() -> None:
    for task, text, length, waiting in [
        ("echo", "abcde", 5, 2),
        ("variable_delay_echo", "ab", 2, 2),
        ("copy", "012", 8, 5),
    ]:
        answer = tagger(task).respond(text, delay=2)
        assert isinstance(answer, str)
        assert len(answer) == length
        assert not answer[:waiting].strip()


def test_a_perfect_shift_register_echoes() -> None:
    """Weights written by hand: each unit of the state hands its letter on, and the third one is read."""
    model = SequenceTagger(partial(Elman, hidden_size=18, activation="identity"), TASKS["echo"].spec, Adam)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        core = model.core
        core.get_parameter("weight_ih_l0")[:6] = torch.eye(6)
        core.get_parameter("weight_hh_l0")[6:, :12] = torch.eye(12)
        cast(nn.Linear, model.readout).weight[:, 12:] = torch.eye(6)
    assert model.respond("abacaba") == "  abaca"
    assert model.respond(["edcba", "a"]) == ["  edc", " "]


def test_responding_leaves_the_mode_and_the_gradients_alone() -> None:
    model = tagger("echo", partial(GRU, hidden_size=6, num_layers=2, dropout=0.5))
    with torch.no_grad():
        model.get_parameter("readout.weight").mul_(100)  # so that dropout would show
    assert model.training
    assert len({str(model.respond("abcdeabcde")) for _ in range(5)}) == 1  # without dropout
    assert model.training
    model.eval()
    model.respond("abc")
    assert not model.training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_task_without_strings_has_no_answers() -> None:
    with pytest.raises(UsageError, match="no strings to respond to"):
        SequenceTagger(ELMAN, TaskSpec(5, 5), Adam).respond("abc")


def test_a_letter_or_a_delay_that_the_task_has_not_is_refused() -> None:
    with pytest.raises(UsageError, match="'z'"):
        tagger("echo").respond("abz")
    with pytest.raises(UsageError, match="a delay of 4"):
        tagger().respond("abc", delay=4)


def test_predictions_are_the_symbols_with_the_largest_logits() -> None:
    model, batch = tagger(), TASKS["variable_delay_echo"].train_batch(0)
    logits = model(batch.inputs, batch.condition)
    chosen = logits.gather(-1, model.predict_step(batch, 0)[..., None])
    assert (chosen >= logits).all()


def test_an_embedding_size_below_1_is_refused() -> None:
    with pytest.raises(UsageError, match="embedding_size must be at least 1, got 0"):
        tagger(embedding_size=0)


# Of a mapped matrix, torch 2.13 can give no gradient in bfloat16.
@pytest.mark.parametrize("core", [core for core in CORES if core != "matrix_exp"])
@pytest.mark.parametrize("condition_at", PLACES)
def test_bfloat16_works_and_sums_the_loss_in_full_precision(core: str, condition_at: Place) -> None:
    model = trained_alone(tagger(core=CORES[core], condition_at=condition_at).to(torch.bfloat16))
    batch = TASKS["variable_delay_echo"].train_batch(0)
    logits = model(batch.inputs, batch.condition)
    assert logits.dtype == torch.bfloat16
    loss = model.training_step(batch, 0)
    assert loss.item() == pytest.approx(mean_cross_entropy(logits, batch.targets), rel=1e-4)
    loss.backward()  # type: ignore[no-untyped-call]  # torch has no types for it
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    assert len(model.respond("abcde", delay=1) or "") == 5


@pytest.mark.parametrize("stage", ["val", "test"])
def test_evaluation_logs_the_scores_of_the_whole_set(stage: str) -> None:
    task = VariableDelayEcho(
        max_delay=3, sequence_length=7, alphabet_size=5, val_sequences=50, test_sequences=60, eval_batch_size=16
    )
    model = tagger(condition_at="readout")
    run = trainer().validate if stage == "val" else trainer().test
    (metrics,) = run(model, task, verbose=False)
    batches = list(task.val_dataloader() if stage == "val" else task.test_dataloader())
    with torch.no_grad():
        logits = torch.cat([model(batch.inputs, batch.condition) for batch in batches])
    targets = torch.cat([batch.targets for batch in batches])
    delays = torch.arange(len(targets)) % 4
    right, scored = logits.argmax(-1) == targets, targets != NOT_SCORED
    by_delay = [right[(delays == d)][scored[delays == d]].float().mean().item() for d in range(4)]
    loss = mean_cross_entropy(logits, targets)
    expected = {
        "loss": loss,
        "accuracy": right[scored].float().mean().item(),
        "worst_accuracy": min(by_delay),
        "sequence_accuracy": (right | ~scored).all(1).float().mean().item(),
        "excess_loss": loss - task.baseline.loss,
        "loss_share": loss / task.baseline.loss,
        "baseline_loss": task.baseline.loss,
        "baseline_accuracy": task.baseline.accuracy,
        **{f"accuracy_at/{delay}": accuracy for delay, accuracy in enumerate(by_delay)},
    }
    assert metrics == pytest.approx({f"{stage}/{name}": value for name, value in expected.items()}, rel=1e-5)


def test_without_a_task_nothing_is_compared_with_its_baseline() -> None:
    (metrics,) = trainer().validate(tagger(), TASKS["variable_delay_echo"].val_dataloader(), verbose=False)
    assert "val/loss" in metrics
    assert not {"val/excess_loss", "val/loss_share"} & set(metrics)


def test_training_logs_the_loss_of_the_batch_of_the_logged_step() -> None:
    task = VariableDelayEcho(max_delay=3, sequence_length=7, alphabet_size=5)
    model = SequenceTagger(ELMAN, task.spec, partial(Adam, lr=0.0))
    fit = trainer(max_steps=2, log_every_n_steps=1, limit_val_batches=0)
    batch = task.train_batch(1)
    expected = mean_cross_entropy(model(batch.inputs, batch.condition), batch.targets)
    fit.fit(model, task)
    assert fit.callback_metrics["train/loss"].item() == pytest.approx(expected, rel=1e-5)
    assert not [name for name in fit.callback_metrics if "accuracy_at" in name]


@pytest.mark.parametrize("core", ["Elman", "GRU"])
def test_a_short_training_beats_the_baseline(core: str) -> None:
    task = Echo(delay=1, sequence_length=8, min_eval_length=8, max_eval_length=10, alphabet_size=3, val_sequences=100)
    layer = cast(Callable[[int], Core], partial(CORES[core].func, hidden_size=32))  # type: ignore[attr-defined]
    model = SequenceTagger(layer, task.spec, partial(Adam, lr=0.03))
    before = trainer().validate(model, task, verbose=False)[0]
    assert before["val/loss_share"] > 0.95
    trainer(max_steps=40, limit_val_batches=0).fit(model, task)
    after = trainer().validate(model, task, verbose=False)[0]
    assert after["val/loss_share"] < 0.5
    assert after["val/accuracy"] > 2 * task.baseline.accuracy
