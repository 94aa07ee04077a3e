"""Checkpoints as text: the log's size and root, signed with Ed25519 as a signed note."""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from control.audit.merkle import HASH_BYTES

# The kind of signature, as signed notes number them (C2SP signed-note).
_ED25519: Final = b"\x01"
_SIGNATURE = re.compile(r"^— (\S+) ([A-Za-z0-9+/=]+)$")
_ID_BYTES: Final = 4
_SIGNATURE_BYTES: Final = 64
# A checkpoint of ours is about 250 bytes; nobody needs to read a megabyte to find out that it is none.
_TEXT_MAX: Final = 65_536


class NoteError(ValueError):
    """A text that is no checkpoint, or no key; it says what is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierKey:
    """A public key by which checkpoints of the log `name` are checked."""

    name: str
    public: bytes

    @property
    def id(self) -> str:
        """The first four bytes, in hexadecimal, of the hash of name and key: what signatures name it by."""
        return _key_id(self.name, self.public).hex()

    def __str__(self) -> str:
        """``name+id+base64``, as signed notes write a verifier key."""
        return f"{self.name}+{self.id}+{base64.b64encode(_ED25519 + self.public).decode()}"

    @classmethod
    def parse(cls, text: str) -> "VerifierKey":
        """The key of a line that `str` made.

        Raises:
            NoteError: it is no such line, or the id does not belong to the key.
        """
        name, _, rest = text.strip().partition("+")
        identity, _, encoded = rest.partition("+")
        try:
            raw = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError) as error:
            raise NoteError("the key is not base64; give the file audit.pub") from error
        if not name or len(raw) != 33 or raw[:1] != _ED25519:
            raise NoteError("this is not an Ed25519 verifier key; give the file audit.pub")
        key = cls(name=name, public=raw[1:])
        if key.id != identity:
            raise NoteError(f"the key's id is {key.id}, not {identity}: the line was changed")
        return key

    def accepts(self, message: bytes, signature: bytes) -> bool:
        """Whether *signature* of *message* was made with this key."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """A private key and the name of its log."""

    name: str
    private: Ed25519PrivateKey

    @property
    def key(self) -> VerifierKey:
        return VerifierKey(name=self.name, public=self.private.public_key().public_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        return self.private.sign(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What was signed: the log had `size` events and this root at `time` (RFC 3339)."""

    origin: str
    size: int
    root: bytes
    time: str

    @property
    def text(self) -> str:
        """The signed text: origin, size, root in base64, and when, a line each."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\ntime {self.time}\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedNote:
    """A checkpoint with its signatures: pairs of the key's id in hexadecimal and the signature."""

    checkpoint: Checkpoint
    signatures: tuple[tuple[str, bytes], ...]

    @property
    def text(self) -> str:
        """The whole note: the signed text, an empty line, a line for each signature."""
        lines = [
            f"— {self.checkpoint.origin} {base64.b64encode(bytes.fromhex(key) + signature).decode()}\n"
            for key, signature in self.signatures
        ]
        return self.checkpoint.text + "\n" + "".join(lines)

    def signed_by(self, keys: Iterable[VerifierKey]) -> VerifierKey | None:
        """The key among *keys* that has signed it, None when none has."""
        message = self.checkpoint.text.encode()
        for key in keys:
            for identity, signature in self.signatures:
                if identity == key.id and key.accepts(message, signature):
                    return key
        return None


def sign(checkpoint: Checkpoint, signer: Signer) -> SignedNote:
    """*checkpoint*, signed."""
    signature = signer.sign(checkpoint.text.encode())
    return SignedNote(checkpoint=checkpoint, signatures=((signer.key.id, signature),))


def parse(text: str) -> SignedNote:
    """The note of this text.

    Raises:
        NoteError: it is none; the text says which line is wrong.
    """
    if len(text) > _TEXT_MAX:
        raise NoteError("it is too long for a checkpoint")
    body, separator, tail = text.partition("\n\n")
    lines = body.split("\n")
    if not separator or len(lines) != 4:
        raise NoteError("a checkpoint has four lines, an empty one, and signatures")
    origin, size, root, time = lines
    if not re.fullmatch(r"0|[1-9][0-9]{0,18}", size):
        raise NoteError(f"line 2: {size[:40]!r} is not a number of events")
    try:
        decoded = base64.b64decode(root, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NoteError("line 3: the root is not base64") from error
    if len(decoded) != HASH_BYTES:
        raise NoteError(f"line 3: the root has {len(decoded)} bytes, not {HASH_BYTES}")
    if not time.startswith("time "):
        raise NoteError("line 4: the time is missing")
    return SignedNote(
        checkpoint=Checkpoint(origin=origin, size=int(size), root=decoded, time=time.removeprefix("time ")),
        signatures=tuple(_signature(line) for line in tail.splitlines()),
    )


def _signature(line: str) -> tuple[str, bytes]:
    found = _SIGNATURE.match(line)
    try:
        raw = base64.b64decode(found[2], validate=True) if found else b""
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != _ID_BYTES + _SIGNATURE_BYTES:
        raise NoteError("a signature is damaged")
    return raw[:_ID_BYTES].hex(), raw[_ID_BYTES:]


def _key_id(name: str, public: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + public).digest()[:_ID_BYTES]
