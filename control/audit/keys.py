"""The key that signs checkpoints: made once, readable by its owner only, replaced with both keys' consent."""

import base64
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from control.audit.kinds.log import SigningKeyChanged
from control.audit.note import NoteError, Signer, VerifierKey

KEY_FILE: Final = "audit.key"
PUBLIC_FILE: Final = "audit.pub"
NEXT: Final = "audit.next"
_NAME_BYTES: Final = 4


class KeyFileError(Exception):
    """The signing key cannot be used; the text says which file, why, and what would do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The key of a state directory; `made` when there was none before."""

    signer: Signer
    made: bool


def open_key(directory: Path) -> Opened:
    """The key in *directory*; it is made if there is none.

    Raises:
        KeyFileError: it cannot be read or written, others may read it, or it is no Ed25519 key.
    """
    path, public = directory / KEY_FILE, directory / PUBLIC_FILE
    try:
        made = not path.exists()
        if made:
            _write(directory, Signer(name=f"headgate-{os.urandom(_NAME_BYTES).hex()}", private=_new()))
        _check_mode(path)
        private = load_pem_private_key(path.read_bytes(), None)
        if not isinstance(private, Ed25519PrivateKey):
            raise KeyFileError(f"{path}: is not an Ed25519 key; put the right one back")
        name = VerifierKey.parse(public.read_text("utf-8")).name
        signer = Signer(name=name, private=private)
        if str(signer.key) != public.read_text("utf-8").strip():
            raise KeyFileError(f"{public}: does not belong to {path}; put the right pair back")
    except (OSError, ValueError, TypeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise KeyFileError(
            f"{path}: cannot be used ({reason}); put the right pair of {KEY_FILE} and {PUBLIC_FILE} back"
        ) from error
    return Opened(signer=signer, made=made)


def prepare_key(directory: Path, old: Signer) -> tuple[Signer, SigningKeyChanged]:
    """Make a new key for the log of *old*, and the event by which both say that they belong together.

    It waits beside the old one until `settle_key` puts it in place: the event has to be in the log first.
    """
    new = Signer(name=old.name, private=_new())
    (directory / NEXT).mkdir(mode=0o700, exist_ok=True)
    _write(directory / NEXT, new)
    statement = _statement(str(old.key), str(new.key))
    return new, SigningKeyChanged(
        resource_id=new.key.id,
        key=str(new.key),
        previous=str(old.key),
        signature_by_previous=base64.b64encode(old.sign(statement)).decode(),
        signature_by_key=base64.b64encode(new.sign(statement)).decode(),
    )


def prepared_key(directory: Path) -> Signer | None:
    """The key that waits to be put in place, if there is one that is whole."""
    try:
        return open_key(directory / NEXT).signer if (directory / NEXT / KEY_FILE).exists() else None
    except KeyFileError:
        return None


def settle_key(directory: Path, *, use: bool) -> None:
    """Put the prepared key in place, or forget it."""
    waiting = directory / NEXT
    for name in (PUBLIC_FILE, KEY_FILE):
        if use and (waiting / name).exists():
            (waiting / name).replace(directory / name)
        (waiting / name).unlink(missing_ok=True)
    if waiting.exists():
        waiting.rmdir()


def first_key(signer: Signer) -> SigningKeyChanged:
    """The event that names a log's first key."""
    return SigningKeyChanged(resource_id=signer.key.id, key=str(signer.key))


def read_public(path: Path) -> VerifierKey:
    """The public key in a file.

    Raises:
        KeyFileError: it cannot be read, or it holds something else.
    """
    try:
        return VerifierKey.parse(path.read_text("utf-8"))
    except OSError as error:
        remedy = "name the file with the public key: the first headgate run makes it, in its state directory"
        raise KeyFileError(f"{path}: {error.strerror}; {remedy}") from error
    except (NoteError, UnicodeDecodeError) as error:
        raise KeyFileError(f"{path}: {error}") from error


def trusted_keys(trusted: VerifierKey, changes: Iterable[Mapping[str, Any]]) -> list[VerifierKey]:
    """*trusted* and every key that it leads to: *changes* are the details of the log's changes of key.

    A change counts only with the signature of the key that is trusted already, so nobody else can add one.
    """
    found = {str(trusted): trusted}
    waiting = [change for change in changes if change.get("previous")]
    while True:
        added = False
        for change in waiting:
            pair = _pair(change)
            if pair is None:
                continue
            before, after, by_before, by_after = pair
            statement = _statement(str(before), str(after))
            if str(before) in found and str(after) not in found and before.accepts(statement, by_before):
                found[str(after)] = after
                added = True
            elif str(after) in found and str(before) not in found and after.accepts(statement, by_after):
                found[str(before)] = before
                added = True
        if not added:
            return list(found.values())


def _pair(change: Mapping[str, Any]) -> tuple[VerifierKey, VerifierKey, bytes, bytes] | None:
    try:
        return (
            VerifierKey.parse(str(change["previous"])),
            VerifierKey.parse(str(change["key"])),
            base64.b64decode(str(change["signature_by_previous"]), validate=True),
            base64.b64decode(str(change["signature_by_key"]), validate=True),
        )
    except (KeyError, ValueError):
        return None


def _statement(before: str, after: str) -> bytes:
    return f"headgate audit log: key\n{before}\nis followed by\n{after}\n".encode()


def _new() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


def _check_mode(path: Path) -> None:
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise KeyFileError(f"{path}: others may read it (mode {mode:04o}); chmod 600 it, or make a new one")


def _write(directory: Path, signer: Signer) -> None:
    pem = signer.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    # The public half first: a crash between the two leaves a pair that is refused, never an unknown signer.
    _replace(directory / PUBLIC_FILE, f"{signer.key}\n".encode(), 0o644)
    _replace(directory / KEY_FILE, pem, 0o600)


def _replace(path: Path, content: bytes, mode: int) -> None:
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
