"""The status page: complete without a script, strict about what it may load, safe with what it shows."""

import re
from html.parser import HTMLParser
from pathlib import Path

from sqlalchemy import text

from control.audit.note import Checkpoint, sign
from control.audit.witness import Witness
from control.rollout.commands import Verb
from tests.helpers.control import ALICE, FakeClock, Proxies, run
from tests.helpers.control_server import put_config, served

VOID = {"meta", "link", "line", "rect", "circle", "br"}


class Checker(HTMLParser):
    """Fails on tags that do not nest; collects what matters."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.inline: list[str] = []
        self.loaded: list[str] = []
        self.ids: list[str] = []
        self.labelled: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name == "style" or name.startswith("on"):
                self.inline.append(f"{tag} {name}")
            if name in ("src", "href") and tag in ("script", "link", "img"):
                self.loaded.append(value or "")
            if name == "id":
                self.ids.append(value or "")
            if name == "aria-labelledby":
                self.labelled.append(value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if self.open and self.open[-1] in ("script", "style") and data.strip():
            self.inline.append(self.open[-1])

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def check(html: str) -> Checker:
    checker = Checker()
    checker.feed(html)
    checker.close()
    assert checker.open == []
    assert checker.inline == []
    assert len(set(checker.ids)) == len(checker.ids)
    assert set(checker.labelled) <= set(checker.ids)
    return checker


async def test_an_empty_control_plane_has_a_page(tmp_path: Path) -> None:
    """The first thing somebody sees is not an error."""
    async with served(tmp_path / "db") as (_, client):
        html, response = await client.text("/")

    assert response.content_type == "text/html"
    assert "no configuration yet" in check(html).text
    assert "Nothing was decided yet." in html


async def test_the_page_says_what_is_done_and_why(tmp_path: Path) -> None:
    """Weights, guardrails with bars, gates, decisions and the end of the log, all in the HTML."""
    clock = FakeClock()
    async with served(tmp_path / "db", clock) as (plane, client):
        await put_config(client, rollout={"duration": "60s"})
        await run(plane, clock, Proxies(failing={"v1": 0.01, "v2": 0.05}), seconds=20)
        progressing = check((await client.text("/"))[0])
        html, _ = await client.text("/")
        await plane.controller.command("fraud", Verb.ROLLBACK, "users complain", ALICE)
        rolled_back = check((await client.text("/"))[0])

    for words in (
        "Rollout of v2 in place of v1",
        "progressing at 10 %",
        "error rate rise",
        "This step waits for",
        "error rate rise: about ",
        " more canary requests, ",
    ):
        assert words in progressing.text
    assert "rollout started" in progressing.text
    assert html.count('<svg class="bars"') >= 1
    assert html.count('<svg class="share"') == 3
    assert 'aria-current="step"' in html
    assert "users complain" in rolled_back.text
    assert "quarantined since" in rolled_back.text
    assert "alice" in rolled_back.text


async def test_nothing_is_loaded_from_elsewhere_and_nothing_inline_runs(tmp_path: Path) -> None:
    """A strict policy that the page itself keeps."""
    async with served(tmp_path / "db") as (_, client):
        await put_config(client)
        html, response = await client.text("/")
        loaded = check(html).loaded
        for path in loaded:
            body, part = await client.text(path)
            assert body
            assert part.headers["X-Content-Type-Options"] == "nosniff"
            assert not re.search(r"https?://", body)
        await client.json("GET", "/static/page.py", status=404)
        await client.json("GET", "/static/..%2Fpage.py", status=404)

    policy = response.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert loaded == ["/static/headgate.css", "/static/headgate.js"]
    assert '<noscript><meta http-equiv="refresh"' in html


async def test_who_is_signed_in_can_sign_out(tmp_path: Path) -> None:
    """By a form that the page's own policy lets through; whoever did not sign in is not offered it."""
    async with served(tmp_path / "db") as (_, client):
        plain, _ = await client.text("/")
        known = {"X-Headgate-Actor": "<vera>", "X-Headgate-Role": "viewer"}
        bearer, _ = await client.text("/", headers=known)
        html, response = await client.text("/", headers=known | {"X-Headgate-Session": "1"})

    assert "Sign out" not in plain + bearer
    assert "Signed in as <vera> (viewer)" in check(html).text
    assert '<form class="session" method="post" action="/-/sign-out">' in html
    assert "form-action 'self'" in response.headers["Content-Security-Policy"]
    # With none at all a browser would say that the form comes from the origin null.
    assert response.headers["Referrer-Policy"] == "same-origin"


async def test_what_a_person_writes_cannot_become_markup(tmp_path: Path) -> None:
    """A reason is shown as text, on the page of whoever looks."""
    async with served(tmp_path / "db") as (plane, client):
        await put_config(client, release="<img src=x onerror=alert(1)>")
        await plane.loop.tick()
        await client.json("POST", "/v1/rollouts/fraud/rollback", {"reason": "<script>alert(1)</script>"})
        html, _ = await client.text("/")

    check(html)
    assert "<script>alert" not in html
    assert "<img" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html


async def test_it_is_readable_in_the_dark(tmp_path: Path) -> None:
    """The style sheet has colours for both, and marks the focus."""
    async with served(tmp_path / "db") as (_, client):
        css, _ = await client.text("/static/headgate.css")

    assert "prefers-color-scheme: dark" in css
    assert ":focus-visible" in css


async def test_the_page_says_whether_the_log_is_what_was_signed(tmp_path: Path) -> None:
    """Not signed, signed, or not the same any more."""
    async with served(tmp_path / "db") as (plane, client):
        store = plane.ledger.store
        witness = Witness(store, tmp_path)
        await witness.start()
        before, _ = await client.text("/")
        await witness.sign(1_700_000_000.0)
        after, _ = await client.text("/")
        async with store.write() as connection:
            await connection.execute(text("DROP TRIGGER audit_checkpoints_no_update"))
            note = sign(
                Checkpoint(origin="x", size=1, root=bytes(32), time="2026-01-01T00:00:00Z"), witness.signer
            )
            await connection.execute(text("UPDATE audit_checkpoints SET note = :note"), {"note": note.text})
        wrong, _ = await client.text("/")

    assert "Not signed yet" in before
    assert "Agrees with what was signed</span>: 1 event, 2023-11-14 22:13:20 UTC" in after
    assert "It is not what was signed" in wrong
