"""A stand-in for what obstore says to Google Cloud Storage and to Azure: objects by path, created once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit


@dataclass(slots=True)
class Bucket:
    """What is in it by path, and the requests it has seen: method, path, and the condition a write had."""

    url: str = ""
    objects: dict[str, bytes] = field(default_factory=dict)
    seen: list[tuple[str, str, str]] = field(default_factory=list)


@contextmanager
def bucket() -> Iterator[Bucket]:
    """Serve one on a port of its own."""
    kept = Bucket()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            # Google's way of saying "only if there is nothing yet", and everybody else's.
            said = self.headers.get("x-goog-if-generation-match"), self.headers.get("if-none-match")
            condition = said[0] or said[1] or ""
            kept.seen.append(("PUT", self.name, condition))
            if self.name in kept.objects and condition:
                error = b"<Error><Code>BlobAlreadyExists</Code></Error>"
                self.answer(412 if condition == "0" else 409, error)
                return
            kept.objects[self.name] = body
            self.answer(201, b"")

        def do_GET(self) -> None:
            kept.seen.append((self.command, self.name, ""))
            found = kept.objects.get(self.name)
            if found is None:
                self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
            else:
                self.answer(200, found)

        do_HEAD = do_GET  # noqa: N815

        @property
        def name(self) -> str:
            return unquote(urlsplit(self.path).path)

        def answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Last-Modified", formatdate(usegmt=True))
            self.send_header("ETag", '"1"')
            self.send_header("x-goog-generation", "1")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, name="bucket", daemon=True)
    thread.start()
    kept.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield kept
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
