"""Plain HTTP by the standard library: the same requests asked directly and through Headgate, and compared."""

from __future__ import annotations

import http.client
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from tests.real.front import VARIANT, Front

TIMEOUT = 30.0

# Of each hop, or of each moment.
OWN = frozenset({"connection", "keep-alive", "date"})
# What Headgate adds to an answer.
ADDED = frozenset({VARIANT, "x-request-id", "via"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request; a body that is a list of pieces is sent chunked."""

    name: str
    path: str
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | list[bytes] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back: header fields in the order of their names, those of one hop left out."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def get(self, name: str) -> str | None:
        """Return the first value of a field, None without it."""
        return next((value for key, value in self.headers if key == name), None)


Normalise = Callable[[Answer], Answer]


def exchange(url: str, asks: Iterable[Ask], *, wary: bool = False) -> tuple[dict[str, Answer], int]:
    """Ask one after the other over a connection that is kept; return answers by name, and connections used.

    If `wary`, the connection is not kept after a 500: uvicorn closes it then, without having said so.
    """
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=TIMEOUT)
    answers: dict[str, Answer] = {}
    used = 0
    try:
        for ask in asks:
            # http.client opens a connection whenever it has none, for example after the server closed it.
            used += connection.sock is None
            answers[ask.name] = _one(connection, ask)
            if wary and answers[ask.name].status == 500:
                connection.close()
    finally:
        connection.close()
    return answers, used


def _one(connection: http.client.HTTPConnection, ask: Ask) -> Answer:
    connection.request(
        ask.method,
        ask.path,
        iter(ask.body) if isinstance(ask.body, list) else ask.body,
        ask.headers,
        encode_chunked=isinstance(ask.body, list),
    )
    response = connection.getresponse()
    body = response.read()
    headers = [(name.lower(), value) for name, value in response.getheaders()]
    return Answer(
        status=response.status,
        reason=response.reason,
        headers=tuple(sorted(pair for pair in headers if pair[0] not in OWN)),
        body=body,
    )


def unchanged(answer: Answer) -> Answer:
    """The normalisation of a server whose answers are the same every time."""
    return answer


def without(*names: str) -> Normalise:
    """Return a normalisation that leaves out header fields which differ from answer to answer."""

    def leave_out(answer: Answer) -> Answer:
        return replace(answer, headers=tuple(pair for pair in answer.headers if pair[0] not in names))

    return leave_out


def _differences(name: str, got: Answer, expected: Answer, normalise: Normalise) -> list[str]:
    """Say how an answer through Headgate differs from the direct one."""
    if got.get(VARIANT) not in ("v1", "v2"):
        return [f"{name}: not through Headgate: {got}"]
    own = ADDED - {field for field, _ in expected.headers}
    got, expected = normalise(without(*own)(_undated(got))), normalise(_undated(expected))
    found = []
    if (got.status, got.reason) != (expected.status, expected.reason):
        found.append(f"{name}: {got.status} {got.reason} instead of {expected.status} {expected.reason}")
    found += [f"{name}: unexpected {field}" for field in got.headers if field not in expected.headers]
    found += [f"{name}: missing {field}" for field in expected.headers if field not in got.headers]
    if got.body != expected.body:
        pairs = enumerate(zip(got.body, expected.body, strict=False))
        place = next(
            (at for at, (one, other) in pairs if one != other), min(len(got.body), len(expected.body))
        )
        here = slice(max(0, place - 20), place + 60)
        found.append(
            f"{name}: {len(got.body)} bytes instead of {len(expected.body)}, from {place} on:"
            f" {got.body[here]!r} instead of {expected.body[here]!r}"
        )
    return found


def _undated(answer: Answer) -> Answer:
    """Without the time of day that gzip writes into its head."""
    if answer.get("content-encoding") != "gzip" or len(answer.body) < 8:
        return answer
    return replace(answer, body=answer.body[:4] + bytes(4) + answer.body[8:])


def assert_same(
    server: str, front: Front, asks: Sequence[Ask], *, normalise: Normalise = unchanged
) -> dict[str, Answer]:
    """Assert that each request is answered the same with and without Headgate; return the answers without.

    Same are status, reason, every header field but those of one hop, and the body, byte for byte, after
    `normalise` has taken out what the server itself never says twice. Through Headgate one connection does.
    """
    direct, _ = exchange(server, asks, wary=True)
    _assert_like(direct, front, [asks], normalise)
    return direct


def assert_same_at_once(
    server: str, front: Front, asks: Sequence[Ask], *, clients: int, normalise: Normalise = unchanged
) -> None:
    """Assert the same for `clients` connections that ask all of it at the same time."""
    direct, _ = exchange(server, asks, wary=True)
    # Each client begins elsewhere in the list, so that different answers are on their way at any moment.
    starts = [client * len(asks) // clients for client in range(clients)]
    _assert_like(direct, front, [[*asks[start:], *asks[:start]] for start in starts], normalise)


def _assert_like(
    direct: dict[str, Answer], front: Front, orders: Sequence[Sequence[Ask]], normalise: Normalise
) -> None:
    """Assert that each list of requests, all at once, gets what was answered directly, and is counted."""
    before = front.outcomes()
    with ThreadPoolExecutor(len(orders)) as pool:
        results = list(pool.map(lambda order: exchange(front.url, order), orders))

    found = [
        difference
        for through, _ in results
        for name, got in through.items()
        for difference in _differences(name, got, direct[name], normalise)
    ]
    assert found == [], "\n".join(found)
    assert [connections for _, connections in results] == [1] * len(orders)
    expected = Counter(outcome(answer.status) for answer in direct.values())
    counted = front.wait_for(before.total() + len(orders) * len(direct)) - before
    assert counted == Counter({name: count * len(orders) for name, count in expected.items()})
    assert front.blamed() == {}


def outcome(status: int) -> str:
    """Return what a whole answer is counted as."""
    if status == 429:
        return "upstream_429"
    return {4: "upstream_4xx", 5: "upstream_5xx"}.get(status // 100, "ok")
