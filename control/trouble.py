"""What goes wrong again and again is said once when it begins, and once when it is over."""

from __future__ import annotations

import logging

from control.store.trouble import trouble_of


class Trouble:
    """The trouble of something that is tried over and over.

    What the database says is told in one line; what nobody expected has its traceback in the log. The same
    trouble is not logged again: a full disk would be filled by the log of its being full.
    """

    def __init__(self, log: logging.Logger, what: str, remedy: str) -> None:
        self._log = log
        self._what = what
        self._remedy = remedy
        self._times = 0
        self.text = ""
        """What is wrong and what would do; empty while nothing is."""

    def failed(self, error: Exception) -> None:
        """Another try has failed."""
        self._times += 1
        trouble = trouble_of(error)
        text = "; ".join(trouble or (f"{type(error).__name__}: {error}", self._remedy))
        if text == self.text:
            return
        self.text = text
        unexpected = None if trouble is not None else error
        self._log.error("%s: %s; it is tried again", self._what, text, exc_info=unexpected)

    def worked(self) -> None:
        """A try has worked."""
        if self.text:
            self._log.info("%s: over after %d tries", self._what, self._times)
        self.text, self._times = "", 0
