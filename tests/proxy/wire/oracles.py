"""Two HTTP/1.1 parsers that nobody here wrote, asked the questions that matter for framing."""

from dataclasses import dataclass

import h11
import httptools


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """The first message in some bytes as a parser understands it."""

    method: bytes
    target: bytes
    headers: int
    body: bytes
    complete: bool


class _Callbacks:
    def __init__(self) -> None:
        self.target = b""
        self.headers = 0
        self.in_head = True
        self.body = b""
        self.complete = False

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers += self.in_head  # trailers are reported here as well

    def on_headers_complete(self) -> None:
        self.in_head = False

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.complete = True


def ask_httptools(data: bytes) -> Message | None:
    """The one request in `data` by llhttp, or None when it refuses."""
    callbacks = _Callbacks()
    parser = httptools.HttpRequestParser(callbacks)
    try:
        parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        pass  # the rest belongs to another protocol; the head was good
    except httptools.HttpParserError:
        return None
    return Message(
        method=parser.get_method(),
        target=callbacks.target,
        headers=callbacks.headers,
        body=callbacks.body,
        complete=callbacks.complete,
    )


def ask_h11(data: bytes) -> Message | None:
    """The first request in `data` by h11, or None when it refuses."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    connection.receive_data(data)
    try:
        request = connection.next_event()
        if not isinstance(request, h11.Request):
            return None
        body = b""
        while isinstance(event := connection.next_event(), h11.Data):
            body += bytes(event.data)
    except h11.RemoteProtocolError:
        return None
    return Message(
        method=request.method,
        target=request.target,
        headers=len(request.headers),
        body=body,
        complete=isinstance(event, h11.EndOfMessage),
    )


def ask_h11_response(data: bytes) -> tuple[int, bytes, bool] | None:
    """Status, body and completeness of the response in `data` to a GET by h11, or None when it refuses."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    connection.send(h11.Request(method="GET", target="/", headers=[("host", "a")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    try:
        response = connection.next_event()
        if not isinstance(response, h11.Response | h11.InformationalResponse):
            return None
        body = b""
        while isinstance(event := connection.next_event(), h11.Data):
            body += bytes(event.data)
    except h11.RemoteProtocolError:
        return None
    return response.status_code, body, isinstance(event, h11.EndOfMessage)
