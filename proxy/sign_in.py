"""Lets a person sign in on the admin address with a token: a form, and a session behind a cookie."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs

from aiohttp import web

from proxy.auth import Authenticator, DeniedError, Principal, check_own_page
from proxy.browser_page import PAGE, browser_page, by_browser, problem
from proxy.sessions import SESSION_SECONDS

if TYPE_CHECKING:
    from proxy.sessions import Sessions

log = logging.getLogger("headgate.admin")

SIGN_IN: Final = "/-/sign-in"
SIGN_OUT: Final = "/-/sign-out"

_FIELD: Final = "token"
_FORM: Final = "application/x-www-form-urlencoded"
_FORM_BYTES_MAX: Final = 4096
# With TLS the browser itself holds the cookie to this host, this path and TLS (RFC 6265bis, 4.1.3.2).
_COOKIE: Final = "headgate"
_COOKIE_TLS: Final = "__Host-headgate"

_FORM_HTML: Final = """<form method="post" action="{action}">
<input value="headgate" autocomplete="username" hidden>
<label for="token">Token</label>
<input id="token" name="{field}" type="password" autocomplete="current-password" required autofocus>
<button>Sign in</button>
</form>
"""


class SignIn:
    """The form, and what the cookies of browsers mean. `secure` says that the address speaks TLS."""

    def __init__(
        self, authenticator: Authenticator, sessions: Sessions, *, secure: bool, local: bool
    ) -> None:
        self._authenticator = authenticator
        self._sessions = sessions
        self._secure = secure
        self._cookie = _COOKIE_TLS if secure else _COOKIE
        self._in_clear = not secure and not local

    def asked(self, request: web.Request) -> bool:
        """Whether this request signs in or out; for these nobody need be known yet."""
        return request.method == "POST" and request.path in (SIGN_IN, SIGN_OUT)

    def known(self, request: web.Request, *, safe: bool) -> Principal | None:
        """Return who is signed in; DeniedError when a change is not asked for by a page of ours."""
        headers = request.headers
        principal = self._sessions.find(request.cookies.get(self._cookie, ""))
        if principal is None:
            return None
        if not safe:
            check_own_page(headers.get("Origin"), headers.get("Sec-Fetch-Site"), headers.get("Host"))
        elif headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none"):
            # A page at another port may lead here, and may not have our answers loaded into itself.
            return principal if headers.get("Sec-Fetch-Mode") == "navigate" else None
        return principal

    async def again(self, _: web.Request) -> web.Response:
        """Answer whoever opens the form's address and is signed in."""
        return _see_page()

    async def begin(self, request: web.Request) -> web.Response:
        """Answer the form: a session and the page, or DeniedError."""
        self._check_page(request)
        if request.content_type != _FORM or (request.content_length or 0) > _FORM_BYTES_MAX:
            raise DeniedError(400, "form_invalid", "this is not the form", "open / and sign in there")
        fields = parse_qs((await request.read()).decode("ascii", "replace"), errors="surrogateescape")
        if not self._authenticator.takes_tokens:
            return _see_page()
        address = request.remote or ""
        principal = self._authenticator.holder(fields.get(_FIELD, [""])[0], address)
        self._sessions.end(request.cookies.get(self._cookie, ""))
        response = _see_page()
        response.set_cookie(
            self._cookie,
            self._sessions.begin(principal),
            max_age=int(SESSION_SECONDS),
            path="/",
            secure=self._secure,
            httponly=True,
            samesite="Strict",
        )
        log.info("%s signed in from %s", principal.actor, address)
        return response

    async def end(self, request: web.Request) -> web.Response:
        """Sign out, and show the form again."""
        self._check_page(request)
        principal = self._sessions.end(request.cookies.get(self._cookie, ""))
        if principal is not None:
            log.info("%s signed out", principal.actor)
        response = _see_page()
        response.del_cookie(self._cookie, path="/", secure=self._secure, httponly=True, samesite="Strict")
        return response

    def form(self, request: web.Request, denied: DeniedError) -> web.Response | None:
        """Return the form in the place of an error, if this is a browser that could sign in."""
        if (
            denied.status not in (401, 429)
            or not self._authenticator.takes_tokens
            or not by_browser(request, ("GET", PAGE), ("GET", SIGN_IN), ("POST", SIGN_IN))
        ):
            return None
        notes = []
        if denied.code != "token_missing" or request.method == "POST":
            notes.append(f"{denied.message}; {denied.remedy}" if denied.status == 429 else denied.message)
        if self._in_clear:
            notes.append("this connection is not encrypted: whoever is on the way can read the token")
        form = _FORM_HTML.format(action=SIGN_IN, field=_FIELD)
        return browser_page(denied.status, "Headgate: sign in", "".join(map(problem, notes)) + form)

    def _check_page(self, request: web.Request) -> None:
        headers = request.headers
        check_own_page(headers.get("Origin"), headers.get("Sec-Fetch-Site"), headers.get("Host"))


def _see_page() -> web.Response:
    return web.Response(status=303, headers={"Location": PAGE, "Cache-Control": "no-store"})
