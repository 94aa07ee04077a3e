"""TLS contexts from PEM texts: modern versions and ciphers, HTTP/1.1 alone, certificates always checked.

Workers get the texts from the agent and never touch a file: what was read whole once is served until
something else was read whole.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from typing import Final

Files = Mapping[str, str]
"""PEM texts by path, as the configuration writes it."""

PROTOCOL: Final = "http/1.1"
# TLS 1.2 with forward secrecy and authenticated encryption only (RFC 9325, section 4.2); 1.3 has no others.
CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


class ServerTls:
    """What a listener needs: names of files, and limits in seconds."""

    __slots__ = ("certificate", "client_ca", "handshake", "key", "minimum")

    def __init__(self, value: Mapping[str, object]) -> None:
        self.certificate = str(value["certificate"])
        self.key = str(value["key"])
        self.client_ca = str(value.get("client_ca") or "")
        self.minimum = str(value.get("minimum", "1.2"))
        handshake = value.get("handshake", 10.0)
        self.handshake = float(handshake) if isinstance(handshake, int | float) else 10.0


ClientTls = tuple[str, str, str, str, str]
"""Names of the files ca, certificate and key, server name and oldest version; empty = left out."""


def client_tls(value: Mapping[str, object]) -> ClientTls:
    """Read the TLS settings of an upstream."""
    ca, certificate, key, name = (
        str(value.get(k) or "") for k in ("ca", "certificate", "key", "server_name")
    )
    return ca, certificate, key, name, str(value.get("minimum") or "1.2")


def server_context(tls: ServerTls, files: Files, *, optional_client: bool = False) -> ssl.SSLContext:
    """Return the context of a listener.

    Raises:
        KeyError: a file was not read.
        ssl.SSLError: a text is no certificate or key, or they do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _harden(context, tls.minimum)
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    _load_pair(context, files[tls.certificate], files[tls.key])
    if tls.client_ca:
        context.load_verify_locations(cadata=files[tls.client_ca])
        context.verify_mode = ssl.CERT_OPTIONAL if optional_client else ssl.CERT_REQUIRED
        # A resumed session would not be checked against the certificates that are believed by then.
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
    return context


def client_context(tls: ClientTls, files: Files) -> ssl.SSLContext:
    """Return the context for the endpoints of an upstream; raises as `server_context` does."""
    ca, certificate, key, _, minimum = tls
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _harden(context, minimum)
    if ca:
        context.load_verify_locations(cadata=files[ca])
    else:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    if certificate:
        _load_pair(context, files[certificate], files[key])
    return context


class ClientContexts:
    """The contexts for many endpoints: those with the same settings share one, until the files are others."""

    def __init__(self) -> None:
        self._files: Files = {}
        self._contexts: dict[ClientTls, ssl.SSLContext] = {}

    def of(self, tls: ClientTls, files: Files) -> ssl.SSLContext:
        """Return the context made of these texts; raises as `client_context` does."""
        if files is not self._files:
            self._files, self._contexts = files, {}
        context = self._contexts.get(tls)
        if context is None:
            context = self._contexts[tls] = client_context(tls, files)
        return context


def _harden(context: ssl.SSLContext, minimum: str) -> None:
    context.minimum_version = _VERSIONS[minimum]
    context.set_ciphers(CIPHERS)
    context.set_alpn_protocols([PROTOCOL])
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION


def _load_pair(context: ssl.SSLContext, certificate: str, key: str) -> None:
    # The module takes names of files only; these two never lie on a disk. Without a passphrase callback it
    # would ask the terminal.
    with _MemoryFile(certificate) as chain, _MemoryFile(key) as private:
        context.load_cert_chain(chain, private, password=_no_passphrase)


def _no_passphrase() -> str:
    raise ssl.SSLError("the private key is protected by a passphrase")


class _MemoryFile:
    def __init__(self, text: str) -> None:
        self._descriptor = os.memfd_create("headgate")
        os.write(self._descriptor, text.encode())

    def __enter__(self) -> str:
        return f"/proc/self/fd/{self._descriptor}"

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)
