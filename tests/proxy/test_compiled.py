"""A compiled module beside changed source is noticed."""

import json
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import source_hash
from pathlib import Path

from proxy.compiled import RECORD, compiled_modules, form, stale_modules, unfinished


def package(folder: Path, *, digest_of: bytes) -> Path:
    """Return a package with one compiled and one plain module; the record knows ``digest_of``."""
    root = folder / "pack"
    (root / "inner").mkdir(parents=True)
    (root / "plain.py").write_bytes(b"")
    (root / "inner" / "hot.py").write_bytes(b"x = 1\n")
    (root / "inner" / f"hot{EXTENSION_SUFFIXES[0]}").write_bytes(b"")
    digest = source_hash(digest_of).hex()
    (root / RECORD).write_text(json.dumps({"pack/inner/hot.py": digest}))
    return root


def test_a_module_of_the_source_that_is_here_is_not_stale(tmp_path: Path) -> None:
    """Only what has a compiled form is listed, and it is current while its source is the recorded one."""
    root = package(tmp_path, digest_of=b"x = 1\n")

    assert compiled_modules(root) == ["pack.inner.hot"]
    assert stale_modules(root) == []


def test_changed_source_and_a_lost_record_are_noticed(tmp_path: Path) -> None:
    """A module compiled from other source, or from who knows what, is named."""
    root = package(tmp_path, digest_of=b"x = 2\n")

    assert stale_modules(root) == ["pack.inner.hot"]
    (root / RECORD).unlink()
    assert stale_modules(root) == ["pack.inner.hot"]


def test_a_build_that_never_ended_is_told_from_one_that_did(tmp_path: Path) -> None:
    """No record is no build; an empty or torn one, or a module too few, is one that did not end."""
    root = package(tmp_path, digest_of=b"x = 1\n")
    record, compiled = root / RECORD, root / "inner" / f"hot{EXTENSION_SUFFIXES[0]}"
    assert (unfinished(root), form(root)) == (False, "compiled")

    listed = record.read_text()
    for text in ("{}", "", listed[:-5]):
        record.write_text(text)
        assert (unfinished(root), form(root)) == (True, "unfinished")
    record.write_text(listed)
    compiled.unlink()
    assert (unfinished(root), form(root)) == (True, "unfinished")
    record.unlink()
    assert (unfinished(root), form(root)) == (False, "interpreted")
