"""Tests of signing in on the live admin address, as a browser does and as a hostile page would."""

import base64
import contextlib
import hashlib
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer, make_mocked_request

from proxy.auth import Authenticator, DeniedError, Principal, Role
from proxy.sessions import Sessions
from proxy.sign_in import SignIn
from tests.helpers.agents import AgentProcess, agent_task
from tests.helpers.configurations import configuration
from tests.helpers.control_stand_in import ControlStandIn, control_stand_in
from tests.helpers.tables import table_for
from tests.helpers.waiting import until_async

TOKENS = [
    {"name": f"{role}-1", "sha256": hashlib.sha256(f"{role}-secret".encode()).hexdigest(), "role": role}
    for role in ("viewer", "operator", "admin")
]


@dataclass
class Browser:
    """Sends what a browser sends from a page of the admin address, and keeps its cookie."""

    agent: AgentProcess
    client: aiohttp.ClientSession
    cookie: str = ""

    async def __call__(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> tuple[int, aiohttp.ClientResponse, str]:
        """Status, answer and its text; headers of None are left out."""
        sent = {"Accept": "text/html,*/*;q=0.8", "Origin": self.agent.admin, "Sec-Fetch-Site": "same-origin"}
        sent |= headers or {}
        if self.cookie:
            sent["Cookie"] = self.cookie
        sent = {name: value for name, value in sent.items() if value}
        async with self.client.request(
            method, self.agent.admin + path, headers=sent, data=fields, allow_redirects=False
        ) as answer:
            return answer.status, answer, await answer.text()

    async def sign_in(self, token: str) -> tuple[int, aiohttp.ClientResponse, str]:
        """Fill in the form."""
        status, answer, text = await self("POST", "/-/sign-in", fields={"token": token})
        for line in answer.headers.getall("Set-Cookie", []):
            self.cookie = line.partition(";")[0]
        return status, answer, text


@contextlib.asynccontextmanager
async def browsing(folder: Path, admin: Mapping[str, Any]) -> AsyncIterator[tuple[Browser, ControlStandIn]]:
    """A browser in front of a ready agent with a control."""
    config = configuration(admin={"bind": "127.0.0.1:0", **admin})
    async with (
        control_stand_in(folder / "c.sock") as control,
        agent_task(folder, config) as agent,
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as client,
    ):
        control.publish(table_for(agent.config, 1))
        await agent.start(control=control.socket)

        async def ready() -> bool:
            return (await agent.get("/readyz"))[0] == 200

        await until_async(ready)
        yield Browser(agent, client), control


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[tuple[Browser, ControlStandIn]]:
    """With a token for each role."""
    async with browsing(tmp_path, {"tokens": TOKENS}) as pair:
        yield pair


Stack = tuple[Browser, ControlStandIn]


async def test_a_browser_gets_a_form_and_a_program_does_not(stack: Stack) -> None:
    """The form is whole by itself: nothing of it needs a session or control."""
    browser, control = stack

    for path in ("/", "/-/sign-in"):
        status, answer, text = await browser("GET", path)
        assert status == 401
        assert answer.content_type == "text/html"
        assert '<form method="post" action="/-/sign-in">' in text
        assert 'role="alert"' not in text
        assert "src=" not in text
        assert "href=" not in text
    policy = answer.headers["Content-Security-Policy"]
    style = text.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in policy
    assert "form-action 'self'" in policy
    assert answer.headers["Cache-Control"] == "no-store"
    for path, accept in (("/", "*/*"), ("/", ""), ("/v1/status", "text/html"), ("/static/x", "text/html")):
        status, answer, _ = await browser("GET", path, {"Accept": accept})
        assert (status, answer.content_type) == (401, "application/json"), path
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert control.forwarded == []


async def test_a_session_has_the_role_of_its_token(stack: Stack) -> None:
    """The page and its calls pass under the holder's name, until the browser signs out."""
    browser, control = stack

    status, answer, _ = await browser.sign_in("operator-secret")
    assert (status, answer.headers["Location"]) == (303, "/")
    _, *attributes = answer.headers["Set-Cookie"].split("; ")
    assert set(attributes) == {"HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=28800"}
    assert "operator" not in browser.cookie

    assert (await browser("GET", "/"))[0] == 200
    headers = control.forwarded[-1][2]
    assert (headers["X-Headgate-Actor"], headers["X-Headgate-Role"]) == ("operator-1", "operator")
    assert headers["X-Headgate-Session"] == "1"
    assert "Cookie" not in headers
    assert (await browser("POST", "/v1/rollouts/fraud/pause"))[0] == 200
    assert (await browser("POST", "/-/reload"))[0] == 403
    assert (await browser("GET", "/-/sign-in"))[0] == 303
    assert "draining" in (await browser("GET", "/readyz"))[2]
    assert (await browser.agent.metrics())["headgate_admin_sessions"] == 1

    signed_in = browser.cookie
    status, answer, _ = await browser("POST", "/-/sign-out")
    assert (status, answer.headers["Location"]) == (303, "/")
    assert "Max-Age=0" in answer.headers["Set-Cookie"]
    browser.cookie = signed_in
    assert (await browser("GET", "/"))[0] == 401
    assert (await browser("POST", "/-/sign-out"))[0] == 303


async def test_a_token_in_the_header_wins(stack: Stack) -> None:
    """A program is who its token says, whatever cookie it sends along, and needs no Origin."""
    browser, control = stack
    await browser.sign_in("admin-secret")
    program = {"Origin": "", "Sec-Fetch-Site": ""}

    assert (await browser("POST", "/-/reload", program | {"Authorization": "Bearer viewer-secret"}))[0] == 403
    assert (await browser("GET", "/", {"Authorization": "Bearer nobody's"}))[0] == 401
    assert (await browser("GET", "/v1/status", program | {"Authorization": "Bearer viewer-secret"}))[0] == 200
    assert control.forwarded[-1][2]["X-Headgate-Actor"] == "viewer-1"
    assert "X-Headgate-Session" not in control.forwarded[-1][2]


# What a browser says of a page that is not ours; nothing at all is what a program says.
OTHER_PAGES = (
    {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"},
    {"Origin": "http://127.0.0.1:1", "Sec-Fetch-Site": "same-site"},
    {"Origin": "http://127.0.0.1:1", "Sec-Fetch-Site": ""},
    {"Origin": "null", "Sec-Fetch-Site": ""},
    {"Origin": "", "Sec-Fetch-Site": "none"},
    {"Origin": "", "Sec-Fetch-Site": ""},
)


async def test_other_pages_change_nothing(stack: Stack) -> None:
    """They neither act under a session, nor sign anybody in or out; also those at another port."""
    browser, control = stack
    await browser.sign_in("admin-secret")

    for page in OTHER_PAGES:
        for path in ("/-/reload", "/v1/rollouts/fraud/pause", "/-/sign-out"):
            assert (await browser("POST", path, page))[0] == 403, (path, page)
        status, answer, text = await browser("POST", "/-/sign-in", page, {"token": "viewer-secret"})
        assert (status, "Set-Cookie" in answer.headers) == (403, False), page
        assert "cross_site" in text
        assert (await browser("GET", "/"))[0] == 200
    assert {path for _, path, _, _ in control.forwarded} == {"/"}


async def test_other_pages_read_nothing(stack: Stack) -> None:
    """What a page at another port loads comes without the session; a link from there comes with it."""
    browser, _ = stack
    await browser.sign_in("viewer-secret")
    page = {"Origin": "", "Sec-Fetch-Site": "same-site"}

    assert (await browser("GET", "/v1/status", page | {"Sec-Fetch-Mode": "no-cors"}))[0] == 401
    assert (await browser("GET", "/", page | {"Sec-Fetch-Mode": "navigate"}))[0] == 200
    assert (await browser("GET", "/", {"Host": "evil.example"}))[0] == 421


async def test_guessing_in_the_form_is_slowed_down(stack: Stack) -> None:
    """By the same count as in the header; who is signed in already is not shut out by it."""
    browser, _ = stack
    await browser.sign_in("viewer-secret")
    other = Browser(browser.agent, browser.client)

    for number in range(6):
        status, answer, text = await other.sign_in(f"guess{number}")
        assert (status, answer.content_type) == (401, "text/html")
        assert "This token is not known here." in text
        assert f"guess{number}" not in text
    status, answer, text = await other.sign_in("admin-secret")
    assert (status, answer.headers["Retry-After"]) == (429, "60")
    assert "wait a minute" in text
    assert not other.cookie
    assert (await browser("GET", "/"))[0] == 200
    metrics = await browser.agent.metrics()
    assert metrics['headgate_admin_requests_refused_total{reason="token_wrong"}'] == 6
    assert browser.agent.said().count("signed in") == 1
    assert "secret" not in browser.agent.said()
    assert "guess" not in browser.agent.said()


async def test_what_is_not_the_form_is_refused(stack: Stack) -> None:
    """A token in the query, another encoding, far too much, nothing at all."""
    browser, _ = stack
    form = {"Content-Type": "application/x-www-form-urlencoded"}

    assert (await browser("POST", "/-/sign-in?token=viewer-secret"))[0] == 400
    assert (await browser("POST", "/-/sign-in?token=viewer-secret", form))[0] == 401
    assert (await browser("POST", "/-/sign-in", {"Content-Type": "application/json"}))[0] == 400
    assert (await browser("POST", "/-/sign-in", fields={"token": "x" * 5000}))[0] == 400
    assert (await browser("POST", "/-/sign-in", fields={"token": "   "}))[0] == 401
    assert (await browser("PUT", "/-/sign-in", form))[0] == 401


async def test_without_tokens_there_is_nothing_to_sign_in_to(tmp_path: Path) -> None:
    """On loopback everyone is `local`, and gets no cookie for it."""
    async with browsing(tmp_path, {}) as (browser, control):
        status, answer, _ = await browser.sign_in("anything")
        assert (status, "Set-Cookie" in answer.headers) == (303, False)
        assert (await browser("GET", "/"))[0] == 200
        assert "X-Headgate-Session" not in control.forwarded[-1][2]


@dataclass
class Token:
    """A configured token."""

    name: str = "vera"
    sha256: str = TOKENS[0]["sha256"]
    role: str = "viewer"


async def test_with_tls_the_cookie_keeps_to_tls() -> None:
    """Its name and attributes make browsers send it over TLS, to this host alone; no other is taken."""
    sessions = Sessions(time.monotonic)
    door = SignIn(Authenticator([Token()], time.monotonic), sessions, secure=True, local=True)
    application = web.Application()
    application.add_routes([web.post("/-/sign-in", door.begin)])
    async with TestClient(TestServer(application), cookie_jar=aiohttp.DummyCookieJar()) as client:
        own = {"Sec-Fetch-Site": "same-origin"}
        answer = await client.post(
            "/-/sign-in", data={"token": "viewer-secret"}, headers=own, allow_redirects=False
        )

    pair, *attributes = answer.headers["Set-Cookie"].split("; ")
    assert {"Secure", "HttpOnly", "SameSite=Strict", "Path=/"} < set(attributes)
    name, _, value = pair.partition("=")
    assert name == "__Host-headgate"
    plain, prefixed = (
        make_mocked_request("GET", "/", {"Cookie": f"{cookie}={value}"}) for cookie in ("headgate", name)
    )
    assert door.known(plain, safe=True) is None
    assert door.known(prefixed, safe=True) == Principal(actor="vera", role=Role.VIEWER)


@pytest.mark.parametrize(
    ("secure", "local", "warned"), [(True, False, False), (False, True, False), (False, False, True)]
)
def test_the_form_says_when_others_could_read_the_token(secure: bool, local: bool, warned: bool) -> None:
    """Off this machine and without TLS."""
    door = SignIn(
        Authenticator([Token()], time.monotonic), Sessions(time.monotonic), secure=secure, local=local
    )
    denied = DeniedError(401, "token_missing", "a bearer token is needed", "set HEADGATE_TOKEN")

    form = door.form(make_mocked_request("GET", "/", {"Accept": "text/html"}), denied)

    assert form is not None
    assert ("not encrypted" in str(form.text)) == warned
