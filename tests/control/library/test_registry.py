"""The Python API: the documented example runs, also where an event loop runs already."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from control import errors
from control.errors import ForbiddenError, HeadgateError, InvalidError, NotFoundError
from control.library.place import url_of
from control.library.registry import ModelRegistry
from control.store.engine import StoreError

DOCUMENT = (Path(__file__).parents[3] / "docs" / "python-api.md").read_text()


async def test_the_documented_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As it stands in the document, on an empty directory, inside a running event loop as in a notebook."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.bin").write_bytes(b"weights")
    [example] = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)

    exec(compile(example, "docs/python-api.md", "exec"), {})

    printed = capsys.readouterr().out
    assert "duplicate a release never changes" in printed
    assert "fraud:2.0.0 is not approved for production: nobody has asked" in printed
    assert "{'prod': 'fraud:2.0.0'}" in printed
    assert (tmp_path / "copy.bin").read_bytes() == b"weights"


def test_two_sessions_see_the_same_store(tmp_path: Path) -> None:
    """What one registers the other finds; closing twice is closing once."""
    (tmp_path / "m").write_bytes(b"model")
    with ModelRegistry(tmp_path / "state", actor="alice") as one, ModelRegistry(tmp_path / "state") as other:
        one.register("fraud", "1.0.0", tmp_path / "m")
        one.promote("fraud:1.0.0", "staging")
        asked = one.request_approval("fraud:1.0.0", justification="x")

        assert other.get("fraud:1.0.0").release.created_by == "alice"
        with pytest.raises(ForbiddenError):
            one.approve(asked.id)
        with pytest.raises(NotFoundError):
            other.verify("fraud:2.0.0")
        other.verify("fraud@latest")
        assert [each["id"] for each in other.approvals("fraud", status="pending")] == [asked.id]
        assert list(other.approvals(status="approved")) == []
        with pytest.raises(InvalidError, match="status: 'open' is none; use one of pending, approved"):
            other.approvals(status="open")
    one.close()


def test_a_store_that_cannot_be_opened_leaves_no_thread(tmp_path: Path) -> None:
    """The error says why."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "headgate.db").write_bytes(b"this is no database" * 100)

    with pytest.raises(StoreError, match="not a database"):
        ModelRegistry(tmp_path / "state")


def test_places_are_a_directory_a_file_or_a_url(tmp_path: Path) -> None:
    """Each names one database."""
    assert url_of(tmp_path) == f"sqlite:///{tmp_path}/headgate.db"
    assert url_of(tmp_path / "x.db") == f"sqlite:///{tmp_path}/x.db"
    assert url_of("postgresql://h/x") == "postgresql://h/x"


def test_every_error_is_documented() -> None:
    """With its status."""
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, HeadgateError) and kind is not HeadgateError:
            assert f"| `{kind.__name__}` | {kind.status} |" in DOCUMENT
