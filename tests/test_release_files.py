"""Tests of the files that a release depends on: the lock with hashes, the workflows, and the citation."""

import re
from pathlib import Path

import pytest
import yaml

from rnn_tasks import __version__

ROOT = Path(__file__).parent.parent
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))

needs_github = pytest.mark.skipif(not WORKFLOWS, reason="the source distribution has no .github/")


def pins(file: str) -> dict[str, str]:
    """Return the version of each package in a file of requirements."""
    return dict(re.findall(r"^([\w.-]+)==([^\s\\]+)", (ROOT / file).read_text(), re.MULTILINE))


def normalized(versions: dict[str, str]) -> dict[str, str]:
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in versions.items()}


def test_lock_has_the_versions_of_the_constraints() -> None:
    expected = normalized(pins("constraints.txt"))
    assert expected.pop("torch")  # its file depends on CUDA
    assert normalized(pins("requirements.lock")) == expected, "remake requirements.lock as constraints.txt says"


def test_lock_has_hashes_of_every_package() -> None:
    packages = re.split(r"\n(?=\w)", (ROOT / "requirements.lock").read_text().strip())
    assert len(packages) == len(pins("requirements.lock"))
    for package in packages:
        first, *hashes = package.split(" \\\n    ")
        assert hashes, first
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", text) for text in hashes), first


@needs_github
@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflow_has_pinned_actions_and_least_permissions(path: Path) -> None:
    text = path.read_text()
    for action, comment in re.findall(r"uses: (\S+)(.*)", text):
        if not action.startswith("./"):
            assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", action), action
            assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), action
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {}
    assert "concurrency" in workflow
    for name, job in workflow["jobs"].items():
        assert set(job["permissions"]) <= ({"id-token"} if name == "publish" else {"contents"}), name
        assert job["permissions"].get("contents", "read") == "read"
        assert "uses" in job or job["timeout-minutes"] <= 60
        for step in job.get("steps", []):
            assert "${{" not in step.get("run", ""), "a value in a script could be code: give it by env"
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False


@needs_github
def test_each_action_has_one_version() -> None:
    used = {tuple(action.split("@")) for path in WORKFLOWS for action in re.findall(r"uses: (\w\S+)", path.read_text())}
    assert len(used) == len({name for name, _ in used})


@needs_github
def test_release_publishes_only_what_was_tested_and_built() -> None:
    jobs = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())["jobs"]
    assert set(jobs["publish"]["needs"]) == {"tests", "build"}
    assert jobs["tests"]["uses"] == "./.github/workflows/ci.yml"
    assert all("run" not in step for step in jobs["publish"]["steps"])  # with its token, it only uploads files


@pytest.mark.skipif(not (ROOT / "CITATION.cff").is_file(), reason="the source distribution has no CITATION.cff")
def test_citation_has_the_version_of_the_package() -> None:
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == __version__
