"""The pages the agent itself answers browsers with: no script, nothing loaded, a strict policy."""

from __future__ import annotations

import base64
import hashlib
import html
from typing import TYPE_CHECKING, Final

from aiohttp import web

if TYPE_CHECKING:
    from proxy.auth import DeniedError

PAGE: Final = "/"
# Control starts in about this time.
AGAIN_SECONDS: Final = 3

_STYLE: Final = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { margin: 15vh auto 0; max-width: 24rem; padding: 1rem; }
h1 { font-size: 1.4rem; }
label, input, button { display: block; width: 100%; box-sizing: border-box; font: inherit; }
input, button { padding: 0.5rem; margin-top: 0.5rem; }
.problem { border-left: 4px solid #b3261e; padding-left: 0.75rem; }
"""
_STYLE_DIGEST: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS: Final = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_DIGEST}'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # Without any, a browser would call a form's origin null.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_HTML: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
{again}<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>Headgate</h1>
{content}</main>
</body>
</html>
"""


def by_browser(request: web.Request, *places: tuple[str, str]) -> bool:
    """Whether a browser asks for one of these methods and paths for a person to look at."""
    return (request.method, request.path) in places and "text/html" in request.headers.get("Accept", "")


def browser_page(status: int, title: str, content: str, *, again: bool = False) -> web.Response:
    """Answer with `content`, which is HTML, as a page; `again` has the browser ask anew every few seconds."""
    text = _HTML.format(
        title=html.escape(title),
        style=_STYLE,
        content=content,
        again=f'<meta http-equiv="refresh" content="{AGAIN_SECONDS}">\n' if again else "",
    )
    return web.Response(status=status, text=text, content_type="text/html", charset="utf-8", headers=_HEADERS)


def problem(text: str) -> str:
    """A paragraph about what is wrong, as HTML."""
    return f'<p class="problem" role="alert">{_sentence(text)}</p>\n'


def away(request: web.Request, denied: DeniedError) -> web.Response | None:
    """Return the status page's stand-in while control is away, if a browser asked for that page."""
    if denied.status != 503 or not by_browser(request, ("GET", PAGE)):
        return None
    content = f"{problem(denied.message)}<p>{_sentence(denied.remedy)} This page tries again by itself.</p>\n"
    return browser_page(denied.status, "Headgate: no control", content, again=True)


def _sentence(text: str) -> str:
    return html.escape(text[:1].upper() + text[1:]) + "."
