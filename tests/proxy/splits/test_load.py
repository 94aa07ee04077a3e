"""Every module of a kind defines one, and every kind is documented."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from proxy.compile import split_schemas
from proxy.splits.base import Split
from proxy.splits.load import kind_modules, load_all

ROOT = Path(__file__).parents[3]


def test_one_kind_a_module() -> None:
    """The module of a kind is called like it and defines nothing else that is registered."""
    load_all()

    assert sorted(Split.kinds) == kind_modules()
    for kind, split in Split.kinds.items():
        assert split.__module__ == f"proxy.splits.{kind}"
        assert split.kind == kind


def test_every_kind_is_documented() -> None:
    """docs/splits.md has a section for each kind, and no other; it names each of the kind's parameters."""
    load_all()
    text = (ROOT / "docs" / "splits.md").read_text()
    sections = dict(re.findall(r"^### `(\w+)`\n(.*?)(?=^##)", text + "\n##", flags=re.M | re.S))

    assert sorted(sections) == sorted(Split.kinds)
    for kind, split in Split.kinds.items():
        for name in split.schema["properties"]:
            assert f"`{name}`" in sections[kind], (kind, name)


def test_loading_twice_registers_once() -> None:
    """Loading again changes nothing."""
    load_all()
    before = dict(Split.kinds)

    load_all()

    assert Split.kinds == before


def test_second_class_of_a_kind_is_refused() -> None:
    """Two classes cannot stand for one kind."""
    load_all()
    direct = importlib.import_module("proxy.splits.direct").DirectSplit

    with pytest.raises(TypeError, match="split kind 'direct' is registered twice"):
        type("Another", (direct,), {})


def test_schemas_are_complete() -> None:
    """The schema of each kind asks for the kind itself and refuses what the kind does not know."""
    for kind, schema in split_schemas().items():
        assert schema["properties"]["kind"] == {"const": kind}
        assert "kind" in schema["required"]
        assert schema["additionalProperties"] is False
        assert set(schema["required"]) <= set(schema["properties"])


def test_routing_is_light() -> None:
    """What a worker imports to route needs none of the libraries of the other processes."""
    heavy = (
        "numpy",
        "scipy",
        "pydantic",
        "yaml",
        "aiohttp",
        "sqlalchemy",
        "click",
        "rich",
        "orjson",
        "asyncio",
    )
    code = (
        "import sys, proxy.table, proxy.endpoint, proxy.splits.load as load; load.load_all(); "
        f"print([name for name in {heavy} if name in sys.modules])"
    )

    run = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=60, cwd=ROOT)

    assert run.stdout.strip() == b"[]", run.stdout
