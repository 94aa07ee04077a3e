"""Tests of the configuration that was in force last."""

import os
from pathlib import Path

import pytest

from config.load import Loaded, load_file
from proxy.accepted import recall, remember
from tests.helpers.configurations import configuration


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    """A configuration from a file."""
    path = tmp_path / "headgate.yaml"
    path.write_text(configuration())
    return load_file(path, os.environ)


def test_configuration_comes_back(tmp_path: Path, loaded: Loaded) -> None:
    """What was in force comes back as the same configuration, with the same digest and folder."""
    remember(tmp_path / "config.json", loaded)

    recalled = recall(tmp_path / "config.json")

    assert recalled is not None
    assert (recalled.config, recalled.digest) == (loaded.config, loaded.digest)
    assert recalled.state_directory == loaded.state_directory
    assert recalled.problem(("routes",), "x", "y").file == loaded.source.file


@pytest.mark.parametrize(("old", "new"), [('"weight":0.05', '"weight":0.95'), ("{", "["), ("fraud", "")])
def test_changed_file_is_not_used(tmp_path: Path, loaded: Loaded, old: str, new: str) -> None:
    """A configuration that was changed on disk is none."""
    path = tmp_path / "config.json"
    remember(path, loaded)
    text = path.read_text()
    assert old in text

    path.write_text(text.replace(old, new, 1))

    assert recall(path) is None


def test_there_need_be_none(tmp_path: Path) -> None:
    """Before a first start there is nothing to recall."""
    assert recall(tmp_path / "config.json") is None
