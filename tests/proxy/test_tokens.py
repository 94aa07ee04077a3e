"""Signed request ids: what is ours is told from everything else, and says which arm served."""

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.tokens import KEY_BYTES, TOKEN_CHARACTERS, Signer, arm_id, load_key, read_token

KEY = bytes(range(32))
ARM = arm_id("fraud", "v2", "canary", "r:0:1")
PREFIX = b"x-request-id: "


def token(signer: Signer) -> str:
    line = signer.line(PREFIX)
    assert line.startswith(PREFIX)
    assert line.endswith(b"\r\n")
    return line[len(PREFIX) : -2].decode()


def test_a_token_says_its_arm_and_its_time() -> None:
    before = time.time()
    read = read_token(KEY, token(Signer(KEY, ARM)))

    assert read is not None
    assert read.arm == ARM
    assert before - 5 < read.at < time.time() + 5
    assert len(token(Signer(KEY, ARM))) == TOKEN_CHARACTERS


def test_no_two_tokens_are_the_same() -> None:
    """Neither of one signer nor of two that were made in the same moment."""
    signers = [Signer(KEY, ARM) for _ in range(20)]

    assert len({token(signer) for signer in signers for _ in range(50)}) == 1000


@given(st.integers(0, TOKEN_CHARACTERS - 1), st.sampled_from("ABab01-_=+/ "))
def test_a_changed_token_is_not_ours(place: int, character: str) -> None:
    text = token(Signer(KEY, ARM))
    changed = text[:place] + character + text[place + 1 :]

    assert (read_token(KEY, changed) is not None) == (changed == text)


@given(st.text(max_size=80))
def test_other_texts_are_not_ours(text: str) -> None:
    assert read_token(KEY, text) is None


def test_another_key_knows_nothing() -> None:
    assert read_token(bytes(32), token(Signer(KEY, ARM))) is None


def test_names_are_told_apart_wherever_they_are_cut() -> None:
    assert arm_id("a", "bc", "canary", "s") != arm_id("ab", "c", "canary", "s")


def test_the_key_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "feedback.key"

    key = load_key(path)

    assert len(key) == KEY_BYTES
    assert load_key(path) == key
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["feedback.key"]


def test_a_damaged_key_is_no_key(tmp_path: Path) -> None:
    (tmp_path / "feedback.key").write_bytes(b"short")

    with pytest.raises(ValueError, match="5 bytes are no key"):
        load_key(tmp_path / "feedback.key")
