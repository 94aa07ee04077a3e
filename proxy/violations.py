"""Gathers what was tried on the admin address and not allowed, for the audit log, which control writes.

However much is tried, the log gets a bounded number of entries: attempts that are alike make one, with their
number.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Final

from proxy.control_link import ControlAwayError, ControlLink

# By the code of the refusal. Not among them: no token at all (a browser, a probe), and mistakes in a request.
VIOLATIONS: Final = {
    "token_wrong": "a token that is not known here",
    "too_many_failures": "a request from an address with too many wrong tokens",
    "role_too_low": "a request beyond what its sender's role may do",
    "refused_by_control": "a request that its sender may not make",
    "host_not_ours": "a request under a name that is not ours, as from a page that was made to resolve here",
    "cross_site": "a change that a page of another site asked a browser for",
}
SEND_SECONDS: Final = 5.0
# Kinds of attempts between two reports; the rest is one entry without an address.
KINDS_MAX: Final = 16
PATH_LENGTH_MAX: Final = 200

Key = tuple[str, str, str]


@dataclass(slots=True)
class Attempts:
    """Attempts that are alike: the first of them, and how many there were."""

    code: str
    address: str
    actor: str
    method: str
    path: str
    times: int = 0

    def to_json(self) -> dict[str, Any]:
        """As it is sent to control."""
        return {
            "code": self.code,
            "reason": VIOLATIONS[self.code],
            "address": self.address,
            "actor": self.actor,
            "method": self.method,
            "path": self.path,
            "times": self.times,
        }


class Violations:
    """What has not been reported yet."""

    def __init__(self) -> None:
        self._noted: dict[Key, Attempts] = {}

    def note(self, code: str, *, address: str, actor: str, method: str, path: str) -> None:
        """Note a refusal; those that are no violations are passed over. `path` has no query."""
        if code not in VIOLATIONS:
            return
        key = (code, address, actor)
        if key not in self._noted and len(self._noted) >= KINDS_MAX:
            key, address, actor = (code, "", ""), "", ""
        found = self._noted.get(key)
        if found is None:
            found = Attempts(code, address, actor, method, path[:PATH_LENGTH_MAX])
            self._noted[key] = found
        found.times += 1

    async def run(self, link: ControlLink) -> None:
        """Report for ever; what control does not take is reported later."""
        while True:
            await asyncio.sleep(SEND_SECONDS)
            if self._noted and link.connected:
                await self.send(link)

    async def send(self, link: ControlLink) -> None:
        """Report what was noted."""
        noted, self._noted = self._noted, {}
        try:
            await link.post_violations([attempts.to_json() for attempts in noted.values()])
        except ControlAwayError:
            for key, attempts in self._noted.items():
                if key in noted:
                    noted[key].times += attempts.times
                elif len(noted) < 2 * KINDS_MAX:
                    noted[key] = attempts
            self._noted = noted
