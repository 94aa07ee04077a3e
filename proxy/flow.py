"""Back-pressure: every pause of a socket's reading is paired with its resumption here."""

from asyncio import Transport
from typing import Final

# Who may hold a reader. Bits, so that several can at once and the last one to let go resumes.
PEER_FULL: Final = 1  # the other side's write buffer is over its high-water mark
NO_CONNECTION: Final = 2  # there is nowhere to send the body yet
PIPELINED: Final = 4  # more requests arrived than may be kept while one is being answered

# Bodies from this size on are written as a view of what was read: a second write costs less than a copy.
VIEW_BYTES_MIN: Final = 8192


class Valve:
    """Stops and resumes reading from one transport; open while nobody holds it."""

    __slots__ = ("holders", "transport")

    def __init__(self, transport: Transport) -> None:
        self.transport: Transport | None = transport
        self.holders = 0

    def hold(self, holder: int) -> None:
        """Stop reading for ``holder``; holding twice is holding once."""
        transport = self.transport
        if transport is not None and not self.holders and not transport.is_closing():
            transport.pause_reading()
        self.holders |= holder

    def release(self, holder: int) -> None:
        """Let go for ``holder``; reading goes on when it was the last."""
        if not self.holders & holder:
            return
        self.holders &= ~holder
        transport = self.transport
        if transport is not None and not self.holders and not transport.is_closing():
            transport.resume_reading()

    def close(self) -> None:
        """Forget the transport; later calls do nothing."""
        self.transport = None
