from typing import Any

import pytest
import torch

from rnn_tasks.errors import UsageError
from rnn_tasks.models import SequenceTagger
from rnn_tasks.models.loading import build_model
from rnn_tasks.networks import LanguageNetwork, TaggerNetwork
from rnn_tasks.runs.trained_network import build_network, network_class_of
from rnn_tasks.spec import TaskSpec
from tests.helpers.networks import TASKS, TEXT


class ScaledTagger(TaggerNetwork):
    """A custom network."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        torch.nn.init.normal_(next(self.readout.parameters()), std=3)


class ScaledModel(SequenceTagger):
    """A custom model with the custom network."""

    network_class = ScaledTagger


CORES: list[dict[str, Any]] = [
    {"class_path": "rnn_tasks.cores.LSTM", "init_args": {"hidden_size": 6, "num_layers": 2}},
    {
        "class_path": "rnn_tasks.cores.Elman",
        "init_args": {
            "hidden_size": 5,
            "orthogonal_map": "cayley",
            "recurrent_init": {"class_path": "rnn_tasks.cores.Henaff"},
        },
    },
    {"class_path": "rnn_tasks.cores.Foreign", "init_args": {"hidden_size": 4, "layer": "torch.nn.GRU"}},
]
TAGGER = "rnn_tasks.models.SequenceTagger"
WRITER = "rnn_tasks.models.LanguageModel"
MODELS: list[tuple[str, TaskSpec, dict[str, Any]]] = [
    (TAGGER, TASKS["echo"].spec, {}),
    (TAGGER, TASKS["variable_delay_echo"].spec, {"condition_at": "both", "embedding_size": 3}),
    (TAGGER, TASKS["copy"].spec, {"zero_blank_weights": True, "recurrent_lr_factor": 0.1}),
    ("rnn_tasks.models.sequence_tagger.SequenceTagger", TASKS["variable_delay_echo"].spec, {"condition_at": "readout"}),
    (f"{__name__}.ScaledModel", TASKS["echo"].spec, {"embedding_size": 3}),
    (WRITER, TEXT, {"dropout": 0.3, "embedding_size": 2, "input_lr_factor": 0.5}),
    (
        WRITER,
        TEXT,
        {"readout_init": {"class_path": "rnn_tasks.cores.Normal", "init_args": {"std": 0.5}}, "embedding_size": None},
    ),
]


def section(model: str, core: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """Return a section ``model`` of config.yaml."""
    optimizer = {"class_path": "torch.optim.Adam", "init_args": {"lr": 0.01}}
    schedule = {"class_path": "rnn_tasks.models.WarmupLinear", "init_args": {"warmup": 0.2}}
    return {"class_path": model, "init_args": {"core": core, "optimizer": optimizer, "schedule": schedule, **options}}


@pytest.mark.parametrize(
    ("model", "spec", "options", "core"),
    [(*model, CORES[index % len(CORES)]) for index, model in enumerate([*MODELS, MODELS[0]])],
)
def test_build_network_has_the_bits_of_build_model(
    model: str, spec: TaskSpec, options: dict[str, Any], core: dict[str, Any]
) -> None:
    chosen = section(model, core, options)
    random_state = torch.get_rng_state()
    for seed in (0, 7):
        expected = build_model(chosen, spec, seed).network
        network = build_network(chosen, spec, seed)
        assert type(network) is type(expected)
        assert network.spec == expected.spec
        assert not network.training
        assert network.state_dict().keys() == expected.state_dict().keys()
        for name, weight in expected.state_dict().items():
            assert torch.equal(network.state_dict()[name], weight), name
        if isinstance(network, LanguageNetwork):
            assert isinstance(expected, LanguageNetwork)
            assert network.dropout == expected.dropout
    other = build_network(chosen, spec, seed=1)
    assert any(not torch.equal(weight, other.state_dict()[name]) for name, weight in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random_state)


@pytest.mark.parametrize("name", ["rnn_tasks.models.Scores", "rnn_tasks.models.Nothing", "nothing.Model", "Model", ""])
def test_network_class_of_rejects_a_class_that_is_no_model(name: str) -> None:
    with pytest.raises(UsageError, match=f"no such model class: {name}"):
        network_class_of(name)
