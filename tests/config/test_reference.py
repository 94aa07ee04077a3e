"""The documentation has every key, because its tables are made from the schema."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import config
from config.json_schema import schema
from config.load import load_text
from config.reference import BEGIN, END, renewed, tables
from control.guardrails.base import Guardrail
from control.guardrails.load import load_all as load_guardrails
from proxy.splits.base import Split
from proxy.splits.load import load_all as load_splits

DOCUMENT = Path(config.__file__).parent.parent / "docs" / "configuration.md"


def test_the_tables_are_up_to_date() -> None:
    """`python -m config.reference docs/configuration.md` renews them."""
    text = DOCUMENT.read_text(encoding="utf-8")

    assert renewed(text) == text


def test_the_tables_are_renewed_in_place(tmp_path: Path) -> None:
    """What people wrote around them stays."""
    path = tmp_path / "c.md"
    path.write_text(f"before\n{BEGIN}\nOLD TABLES\n{END}\nafter\n")

    subprocess.run(
        [sys.executable, "-m", "config.reference", str(path)],
        check=True,
        cwd=DOCUMENT.parent.parent,
        timeout=60,
    )

    text = path.read_text()
    assert text.startswith(f"before\n{BEGIN}\n\n### Top level\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "OLD TABLES" not in text


def test_a_document_without_marks_is_left_alone() -> None:
    """Nothing is appended by guess."""
    with pytest.raises(ValueError, match="the document has no <!-- made by"):
        renewed("no marks here")


def test_every_key_of_the_schema_has_a_row_with_a_meaning() -> None:
    """Counted over every section of the schema."""
    whole = schema()
    rows = re.findall(r"^\| `([a-z0-9_]+)` \| (.+?) \| (.*?) \| (.+) \|$", tables(), re.MULTILINE)
    documented = {name for name, _, _, _ in rows}
    known = {
        key for definition in [whole, *whole["$defs"].values()] for key in definition.get("properties", {})
    }

    assert known == documented
    assert all(kind.strip() and meaning.strip() for _, kind, _, meaning in rows)


def test_no_table_is_there_twice() -> None:
    """Each section has a heading of its own."""
    headings = re.findall(r"^### .*$", tables(), re.MULTILINE)

    assert len(headings) == len(set(headings)) > 20


def test_every_kind_is_documented_with_its_keys() -> None:
    """A kind that is added, or a key of one, is added to the document."""
    load_splits()
    load_guardrails()
    text = DOCUMENT.read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z_]+)` \| [^|]+ \|([^|]*)\|$", text, re.MULTILINE)
    documented = {kind: set(re.findall(r"`([a-z_]+)`", keys)) for kind, keys in rows}

    assert set(Split.kinds) | set(Guardrail.kinds) <= set(documented)
    for kind, split in Split.kinds.items():
        assert documented[kind] == set(split.schema["properties"]), kind
    for kind, guardrail in Guardrail.kinds.items():
        assert documented[kind] == set(guardrail.schema), kind


def test_configurations_in_the_documentation_load() -> None:
    """Whole ones as they are, parts inside a whole one."""
    text = DOCUMENT.read_text(encoding="utf-8")
    blocks = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    whole = next(block for block in blocks if block.startswith("listeners"))
    steps = next(block for block in blocks if block.startswith("steps"))
    anchors = next(block for block in blocks if block.startswith("x-"))

    load_text(whole, file="c.md", environ={})
    for line in steps.splitlines():
        route = f"    split: {{kind: canary}}\n    rollout:\n      {line}\n"
        load_text(whole.replace("    upstream: model\n", route), file="c.md", environ={})
    rest = whole.partition("upstreams:")[0] + "routes: [{name: a, upstream: large}]\n"
    loaded = load_text(anchors + rest, file="c.md", environ={})
    assert loaded.config.upstreams["large"].timeouts.first_byte == 300.0
    assert loaded.config.upstreams["large"].timeouts.connect == 1.0
