from pathlib import Path
from typing import Any

from rnn_tasks.cores import LRU
from rnn_tasks.networks import TaggerNetwork
from rnn_tasks.report.blocks import Paragraph, Picture, Table
from rnn_tasks.report.hidden_states import hidden_states_section, next_character_blocks
from rnn_tasks.report.memory import memory_section
from rnn_tasks.report.run_data import load_runs
from rnn_tasks.runs.find import RunLocation
from rnn_tasks.tasks import Copy, ElmanGrammar
from tests.helpers.report_runs import make_run, small_network

GRAMMAR = ElmanGrammar(test_characters=6000, baseline_characters=20_000)


def writing(**parts: Any) -> dict[str, Any]:
    """Return networks that write the same few words at once, since samples of 1,500 characters take a second each."""
    networks: dict[str, Any] = {"network": small_network(GRAMMAR), "untrained": small_network(GRAMMAR), **parts}
    for network in networks.values():
        network.generate = lambda *_, **__: "the boy see a cat"
    return networks


def test_section_of_a_grammar_run_has_all_parts(trained_logs: Path) -> None:
    (run,) = load_runs([RunLocation(trained_logs / "elman_grammar" / "version_0")])
    section = hidden_states_section([run])
    pictures = [block.name for block in section.blocks if isinstance(block, Picture)]
    assert pictures == ["trajectory", "units", "words", "accuracy_by_position", "next_character"]
    assert sum(isinstance(block, Table) for block in section.blocks) == 2  # purity and lexicon
    assert section.missing == []
    assert section.numbers.keys() == {"trajectory", "units", "words", "lexicon_share", "next_character"}
    of = section.numbers["words"][run.label]
    assert set(of["purity"]["trained"]) == set(of["purity"]["untrained"]) != set()


def test_section_has_no_words_when_the_task_is_not_a_text() -> None:
    section = hidden_states_section([make_run(Copy(test_sequences=20))])
    pictures = [block.name for block in section.blocks if isinstance(block, Picture)]
    assert pictures == ["trajectory", "units", "fixed_points"]
    assert section.numbers.keys() == {"trajectory", "units", "fixed_points"}


def test_section_tells_outputs_from_states() -> None:
    task = Copy(test_sequences=20)
    network: Any = TaggerNetwork(lambda size: LRU(size, 6, num_states=5), task.spec).eval()
    section = hidden_states_section([make_run(task, "A: one", network=network, untrained=network)])
    paragraph = section.blocks[0]
    assert isinstance(paragraph, Paragraph)
    assert "The layer, LRU, carries another state from step to step, of 10 numbers" in paragraph.text
    assert memory_section([make_run(task, "A: one", network=network, untrained=network)]).blocks[0] == paragraph
    assert not any(isinstance(block, Paragraph) for block in hidden_states_section([make_run(task)]).blocks)


def test_section_of_two_runs_shares_the_text_picture() -> None:
    runs = [make_run(GRAMMAR, "A: one", **writing()), make_run(GRAMMAR, "B: two", **writing())]
    section = hidden_states_section(runs)
    names = [block.name for block in section.blocks if isinstance(block, Picture)]
    assert names[:5] == ["trajectory_a", "trajectory_b", "units", "words_a", "words_b"]
    assert names[-1] == "next_character"
    assert len(set(names)) == len(names)
    picture = next(block for block in section.blocks if isinstance(block, Picture) and block.name == "next_character")
    titles = [ax.get_title(loc="left") for ax in picture.draw(7).axes]
    assert titles[:3] == ["A: one", "B: two", "the grammar"]
    other = ElmanGrammar(test_characters=6000, seed=3)
    apart, _ = next_character_blocks([make_run(GRAMMAR, "A: one"), make_run(other, "B: two")], [])
    assert [block.name for block in apart if isinstance(block, Picture)] == ["next_character_1", "next_character_2"]


def test_section_lists_parts_that_cannot_be_shown() -> None:
    one_unit = {"network": small_network(GRAMMAR, 1), "untrained": small_network(GRAMMAR, 1)}
    section = hidden_states_section([make_run(GRAMMAR, "A: one", **writing(**one_unit))])
    assert any(line.startswith("trajectory of the hidden state: ") for line in section.missing)
    assert "trajectory" not in [block.name for block in section.blocks if isinstance(block, Picture)]
    assert hidden_states_section([make_run(Copy(test_sequences=20), batch=None)]).blocks == []
