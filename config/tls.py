"""The part of the schema that concerns TLS: who we are to clients, and whom we believe behind us."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from config.base import Fault, Model, refuse
from config.fields import PositiveDuration, Role, Text

File = Annotated[Text, Field(min_length=1)]
TlsVersion = Literal["1.2", "1.3"]


class ListenerTls(Model):
    """TLS to clients. Files are PEM, relative to the configuration file, and read again when they change."""

    certificate: File
    """Certificate, followed by those that lead to its root."""
    key: File
    """Private key of the certificate, without a passphrase."""
    client_ca: File | None = None
    """Certificates that a client's must lead to; left out = clients show none."""
    minimum: TlsVersion = "1.2"
    """The oldest version of TLS that is spoken."""
    handshake: PositiveDuration = 10.0
    """How long a client may take to agree on keys."""


class UpstreamTls(Model):
    """TLS to the https:// endpoints of an upstream; without a certificate that is believed there is none."""

    ca: File | None = None
    """Certificates that an endpoint's must lead to; left out = those that this machine believes."""
    certificate: File | None = None
    """Certificate that we show to endpoints."""
    key: File | None = None
    """Its private key, without a passphrase."""
    server_name: Text | None = None
    """Name that is asked for and must stand in the certificate; left out = the host of the endpoint."""
    minimum: TlsVersion = "1.2"
    """The oldest version of TLS that is spoken."""

    @model_validator(mode="after")
    def _pair(self) -> Self:
        faults = []
        if (self.certificate is None) != (self.key is None):
            there, missing = ("key", "certificate") if self.certificate is None else ("certificate", "key")
            faults.append(
                Fault(
                    path=(there,),
                    problem=f"there is no {missing} for it",
                    remedy=f"add {missing}, or remove it",
                )
            )
        refuse("tls", faults)
        return self


class AdminTls(Model):
    """TLS on the admin address."""

    certificate: File
    """Certificate, followed by those that lead to its root."""
    key: File
    """Private key of the certificate, without a passphrase."""
    client_ca: File | None = None
    """Certificates that a client's must lead to, if it shows one; left out = none is asked for."""
    clients: Annotated[dict[Text, Role], Field(max_length=1000)] = Field(default_factory=dict)
    """Roles by name in the client's certificate: a DNS name, an e-mail address, a URI or the common name."""

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        faults = []
        if self.clients and self.client_ca is None:
            problem = "no client can prove its name without client_ca"
            faults.append(
                Fault(path=("clients",), problem=problem, remedy="add client_ca, or remove clients")
            )
        refuse("tls", faults)
        return self
