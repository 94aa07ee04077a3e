"""One value, three ways to print it."""

from __future__ import annotations

import io
import json

import pytest
import yaml

from control.cli import output
from control.cli.output import Grid

GRID = Grid(headings=["route", "n"], rows=[["fraud", "7"], ["a", "1200"]], right=frozenset({1}))


def test_text_is_aligned_and_has_no_trailing_blanks(capsys: pytest.CaptureFixture[str]) -> None:
    """In a pipe columns line up, blocks stand apart and nothing is coloured."""
    output.emit({}, "text", ["two routes", GRID])

    assert capsys.readouterr().out == "two routes\n\nroute     n\nfraud     7\na      1200\n"


def test_json_and_yaml_say_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    """Both hold the whole value, in its order, with letters as they are."""
    value = {"z": 1, "name": "Größe", "none": None}

    output.emit(value, "json", "")
    as_json = capsys.readouterr().out
    output.emit(value, "yaml", "")
    as_yaml = capsys.readouterr().out

    assert json.loads(as_json) == yaml.safe_load(as_yaml) == value
    assert list(json.loads(as_json)) == ["z", "name", "none"]
    assert "Größe" in as_json
    assert "Größe" in as_yaml


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("no_color", [False, True])
def test_a_terminal_gets_colour_unless_it_asks_not_to(
    monkeypatch: pytest.MonkeyPatch, no_color: bool
) -> None:
    """Verdicts stand out on a terminal; NO_COLOR switches that off and keeps the words."""
    screen = Terminal()
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    else:
        monkeypatch.delenv("NO_COLOR", raising=False)

    output.show([Grid(headings=["verdict"], rows=[["fail"]])])

    assert "fail" in screen.getvalue()
    assert ("\x1b[1;31m" in screen.getvalue()) is not no_color
