"""What has been taken is known, whatever is restarted; what has not is nearly never taken for it."""

import hashlib
from pathlib import Path

import pytest

from control import seen
from control.seen import AGE_SECONDS, Seen


def entry(number: int) -> bytes:
    return hashlib.blake2b(b"%d" % number, digest_size=12).digest()


def test_an_entry_is_new_once(tmp_path: Path) -> None:
    known = Seen(tmp_path / "seen")

    assert [known.add(entry(i % 100), 0.0) for i in range(200)] == [True] * 100 + [False] * 100
    assert known.entries == 100
    known.close()


def test_it_survives_its_process(tmp_path: Path) -> None:
    """Nothing is flushed or closed: what a killed process stored is in the file."""
    first = Seen(tmp_path / "seen")
    first.add(entry(1), 0.0)

    again = Seen(tmp_path / "seen")

    assert not again.add(entry(1), 1.0)
    assert again.add(entry(2), 1.0)
    again.close()
    first.close()


def test_entries_are_forgotten_after_a_while_and_not_before(tmp_path: Path) -> None:
    known = Seen(tmp_path / "seen")
    known.add(entry(1), 10.0)

    assert not known.add(entry(1), 10.0 + AGE_SECONDS / 2 + 1)
    assert known.add(entry(1), 10.0 + AGE_SECONDS + 2)
    known.close()


def test_a_full_filter_makes_room_and_mistakes_stay_rare(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same load for each bit as when full, in a smaller filter."""
    monkeypatch.setattr(seen, "BITS", 2**17)
    monkeypatch.setattr(seen, "_FILTER_BYTES", 2**14)
    monkeypatch.setattr(seen, "ENTRIES_MAX", 6250)
    known = Seen(tmp_path / "seen")

    mistaken = sum(not known.add(entry(i), 0.0) for i in range(25_000))

    assert mistaken <= 20
    assert known.entries <= 6250
    assert not known.add(entry(24_999), 0.0)
    assert known.add(entry(3), 0.0)
    known.close()


def test_a_file_that_is_not_ours_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "seen").write_bytes(b"something else")

    known = Seen(tmp_path / "seen")

    assert known.add(entry(1), 0.0)
    known.close()
