"""What the API is made from: the parts of a running control plane."""

from dataclasses import dataclass

from control.audit.witness import Witness
from control.controller import Controller
from control.feedback import FeedbackBook
from control.ledger import Ledger
from control.loop import Loop
from control.webhooks.notifier import Notifier


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """A running control plane; `started_at` in Unix seconds."""

    controller: Controller
    loop: Loop
    started_at: float
    version: str
    witness: Witness | None = None
    """Signs the audit log; None where there is no place for a key."""
    notifier: Notifier | None = None
    feedback: FeedbackBook | None = None
    """Takes outcomes that are reported later; None where there is no key to tell our requests by."""

    @property
    def ledger(self) -> Ledger:
        return self.controller.ledger
