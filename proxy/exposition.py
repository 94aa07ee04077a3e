"""Writes /metrics in the format the scraper asks for, with control's families after ours."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import aiohttp
from prometheus_client.exposition import choose_encoder

from proxy.control_link import BASE
from proxy.metrics import agent_registry

if TYPE_CHECKING:
    from proxy.agent import Agent

# A scrape waits 10 s by default; ours shall not miss one because control is slow.
CONTROL_SECONDS: Final = 2.0
CONTROL_BYTES_MAX: Final = 16 * 1024 * 1024
EOF_LINE: Final = b"# EOF\n"
_FAMILY: Final = re.compile(rb"# (?:HELP|TYPE|UNIT) (\S+)")
_SUFFIX: Final = re.compile(rb"_(?:total|info|created)$")


async def exposition(agent: "Agent", refused: Mapping[str, int], accept: str) -> tuple[bytes, str]:
    """Return the body and the content type of an answer to a scrape."""
    encode, content_type = choose_encoder(accept)
    ours = encode(agent_registry(agent, refused))
    theirs = await _control(agent, accept, content_type)
    return merge(ours, theirs), content_type


def merge(ours: bytes, theirs: bytes) -> bytes:
    """Join two expositions of one format; a family that both have is taken from `ours`.

    A second block of a family, or a second end mark, would make a scraper refuse the whole answer.
    """
    known = {_name(match) for match in _FAMILY.finditer(ours)}
    ends = ours.endswith(EOF_LINE)
    kept, keep = [ours.removesuffix(EOF_LINE)], True
    for line in theirs.splitlines(keepends=True):
        if line.strip() == EOF_LINE.strip():
            break
        match = _FAMILY.match(line)
        if match is not None:
            keep = _name(match) not in known
        if keep:
            kept.append(line if line.endswith(b"\n") else line + b"\n")
    return b"".join(kept) + (EOF_LINE if ends else b"")


def _name(family: re.Match[bytes]) -> bytes:
    # The text format puts _total into a counter's name, OpenMetrics does not.
    return _SUFFIX.sub(b"", family.group(1))


async def _control(agent: "Agent", accept: str, content_type: str) -> bytes:
    """Return control's families; nothing when it is away, slow, or speaks another format than we do."""
    if agent.link is None or not agent.link.connected:
        return b""
    try:
        async with agent.link.session.get(
            f"{BASE}/metrics",
            headers={"Accept": accept, "Accept-Encoding": "identity"},
            timeout=aiohttp.ClientTimeout(total=CONTROL_SECONDS),
        ) as answer:
            theirs = await answer.content.read(CONTROL_BYTES_MAX)
            same = answer.headers.get("Content-Type", "").split(";")[0] == content_type.split(";")[0]
            return theirs if answer.status == 200 and same and answer.content.at_eof() else b""
    except (aiohttp.ClientError, TimeoutError, OSError):
        return b""
