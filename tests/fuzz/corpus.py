"""What fuzzing begins with: all inputs that were ever thought of."""

from __future__ import annotations

from tests.conformance.bodies import BODIES
from tests.proxy.wire.cases import REQUESTS, RESPONSES


def corpus(target: str) -> list[bytes]:
    """Inputs for a target."""
    if target == "responses":
        return [case.data for case in RESPONSES]
    if target in ("bodies", "splits"):
        bodies = [b"".join(case.send).partition(b"\r\n\r\n")[2] for case in BODIES]
        return [body for body in bodies if body]
    return [case.data for case in REQUESTS]
