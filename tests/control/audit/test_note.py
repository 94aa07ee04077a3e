"""A checkpoint is text that anybody can read and check, and nobody without the key can write."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from control.audit.note import Checkpoint, NoteError, Signer, VerifierKey, parse, sign

SIGNER = Signer(name="headgate-1", private=Ed25519PrivateKey.generate())
CHECKPOINT = Checkpoint(origin="headgate-1", size=12, root=b"r" * 32, time="2026-01-02T03:04:05Z")


def test_a_note_has_the_form_of_a_signed_note() -> None:
    """Origin, size, root, time; an empty line; a dash, the name, and key id with signature in base64."""
    lines = sign(CHECKPOINT, SIGNER).text.split("\n")

    assert lines[:5] == [
        "headgate-1",
        "12",
        base64.b64encode(b"r" * 32).decode(),
        "time 2026-01-02T03:04:05Z",
        "",
    ]
    dash, name, encoded = lines[5].split(" ")
    raw = base64.b64decode(encoded)
    assert (dash, name, raw[:4].hex()) == ("—", "headgate-1", SIGNER.key.id)
    Ed25519PublicKey.from_public_bytes(SIGNER.key.public).verify(
        raw[4:], "\n".join(lines[:4]).encode() + b"\n"
    )


def test_a_note_survives_being_written_and_read() -> None:
    """And is accepted by the key that signed it, only."""
    note = parse(sign(CHECKPOINT, SIGNER).text)
    other = Signer(name="headgate-1", private=Ed25519PrivateKey.generate())

    assert note.checkpoint == CHECKPOINT
    assert note.signed_by([other.key, SIGNER.key]) == SIGNER.key
    assert note.signed_by([other.key]) is None


def test_a_changed_note_is_signed_by_nobody() -> None:
    """Another size, root or time under the same signature."""
    text = sign(CHECKPOINT, SIGNER).text

    for before, after in [("\n12\n", "\n13\n"), ("time 2026", "time 2027"), ("headgate-1\n", "headgate-2\n")]:
        assert parse(text.replace(before, after, 1)).signed_by([SIGNER.key]) is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "four lines"),
        ("a\n-1\nx\ntime\n\n", "line 2"),
        ("a\n1\n!\ntime x\n\n", "not base64"),
        ("a\n1\nAAAA\ntime x\n\n", "has 3 bytes"),
        ("a\n1\n" + base64.b64encode(bytes(32)).decode() + "\nx\n\n", "line 4"),
        ("a\n1\n" + base64.b64encode(bytes(32)).decode() + "\ntime x\n\n— a AAAA\n", "signature"),
        ("a" * 70_000, "too long"),
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str, problem: str) -> None:
    """The error names the line."""
    with pytest.raises(NoteError, match=problem):
        parse(text)


def test_a_verifier_key_is_a_line() -> None:
    """Name, id and key; an id that does not belong to the key is refused."""
    line = str(SIGNER.key)

    assert VerifierKey.parse(line + "\n") == SIGNER.key
    with pytest.raises(NoteError, match="was changed"):
        VerifierKey.parse(line.replace(SIGNER.key.id, "00000000"))
    for wrong in ("", "x", "a+b+c", "a+b+AAAA"):
        with pytest.raises(NoteError):
            VerifierKey.parse(wrong)
