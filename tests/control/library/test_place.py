"""Where a store is, from what people name: a directory, a file, a URL, or a configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from control.library.place import base_of, url_of
from control.store.errors import StoreError

URL = "postgresql://headgate:secret@db/headgate"
CONFIGURATION = """
listeners: [{bind: "127.0.0.1:0"}]
upstreams: {v1: {endpoints: ["http://127.0.0.1:1"]}}
routes: [{name: all, match: {path_prefix: /}, upstream: v1}]
"""


def configuration(path: Path, state: str) -> Path:
    file = path / "headgate.yaml"
    file.write_text(f"{CONFIGURATION}state: {{directory: kept{state}}}\n", "utf-8")
    return file


def test_a_place_without_a_configuration(tmp_path: Path) -> None:
    """A directory holds its database, a file is one, a URL is what it is."""
    assert url_of(tmp_path) == f"sqlite:///{tmp_path}/headgate.db"
    assert url_of(tmp_path / "other.db") == f"sqlite:///{tmp_path}/other.db"
    assert (url_of(URL), base_of(URL)) == (URL, None)
    assert base_of(tmp_path) == tmp_path


def test_a_configuration_says_where_its_database_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the same keys as for the control process; artifacts are below the state directory."""
    monkeypatch.setenv("HG_DATABASE", f"{URL}\n")
    (tmp_path / "url").write_text(URL, "utf-8")
    for state, url in (
        ("", f"sqlite:///{tmp_path}/kept/headgate.db"),
        (", database: 'postgresql://headgate@db/headgate'", "postgresql://headgate@db/headgate"),
        (", database_env: HG_DATABASE", URL),
        (", database_file: url", URL),
    ):
        file = configuration(tmp_path, state)
        assert (url_of(file), base_of(file)) == (url, tmp_path / "kept")


def test_a_database_that_is_not_where_it_is_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The place is named; what it may hold is not repeated."""
    monkeypatch.delenv("HG_DATABASE", raising=False)
    for state, told in (
        (", database_env: HG_DATABASE", "HG_DATABASE is empty or not there"),
        (", database_file: url", "the URL of the database cannot be read"),
        (f", database: '{URL}'", "must not hold its password"),
    ):
        with pytest.raises(StoreError, match=told) as caught:
            url_of(configuration(tmp_path, state))
        assert "secret" not in str(caught.value)
    with pytest.raises(StoreError, match="there is no such file"):
        url_of(tmp_path / "none.yaml")
