"""LiteLLM's proxy and the openai client: answers, streams and errors are the same through Headgate."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from tests.real.environments import executable
from tests.real.exchanges import Answer, Ask, assert_same, assert_same_at_once, without
from tests.real.front import HALVES, Front, headgate_before
from tests.real.same import assert_counted, assert_same_told, statuses
from tests.real.servers import free_ports, serving
from tests.real.shadows import shadow_report

pytestmark = pytest.mark.real

KEY = "sk-headgate-test"
STORY = "Once there was a proxy, and it passed on every byte. " * 8 + "☂ The end."
# What LiteLLM answers by itself instead of asking a model, by the name a client calls the model.
MODELS = {
    "story": STORY,
    "short": "No.",
    "limited": "litellm.RateLimitError",
    "broken": "litellm.InternalServerError",
}

# LiteLLM numbers its answers, and says how long each took.
NEW_EVERY_TIME = re.compile(rb'chatcmpl-[0-9a-f-]+|(?<="created":)\d+')
OF_EACH_CALL = without(
    "x-litellm-call-id",
    "x-litellm-response-duration-ms",
    "x-litellm-overhead-duration-ms",
    "x-litellm-callback-duration-ms",
)


@pytest.fixture(scope="module")
def litellm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a LiteLLM proxy."""
    program = executable("litellm", "litellm")
    folder = tmp_path_factory.mktemp("litellm")
    models = [
        {
            "model_name": name,
            "litellm_params": {"model": f"openai/{name}", "api_key": "none", "mock_response": response},
        }
        for name, response in MODELS.items()
    ]
    settings = {
        "model_list": models,
        "general_settings": {"master_key": KEY},
        "litellm_settings": {"num_retries": 0, "request_timeout": 20, "telemetry": False},
        "router_settings": {"num_retries": 0, "disable_cooldowns": True},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    (port,) = free_ports(1)
    command: list[str | Path] = [
        program,
        "--config",
        "config.yaml",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    url = f"http://127.0.0.1:{port}"
    with serving(command, url=url, ready="/health/liveliness", cwd=folder) as server:
        yield server


@pytest.fixture(scope="module")
def front(litellm: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """Headgate before it, which looks into its streams."""
    route = {**HALVES, "streams": {"format": "openai"}}
    with headgate_before(litellm, tmp_path_factory.mktemp("gate"), route=route) as running:
        yield running


def test_openai_client(litellm: str, front: Front, tmp_path: Path) -> None:
    """Answers, streams chunk by chunk, errors of either side, sixteen streams at once."""
    told, counted = assert_same_told("openai", "clients/ask_openai.py", litellm, front, tmp_path)

    chunks = told["stream"]["chunks"]
    assert len(chunks) > 100
    assert (
        "".join(choice["delta"]["content"] or "" for chunk in chunks for choice in chunk["choices"]) == STORY
    )
    assert told["stream with usage"]["chunks"][-1]["usage"]["completion_tokens"] > 0
    assert told["answer"]["answer"]["choices"][0]["message"]["content"] == STORY
    assert told["streams at once"] == ["No.", STORY] * 8
    assert statuses(told) == {
        "no such model": 400,
        "no such model, stream": 400,
        "bad input": 400,
        "unknown key": 400,
        "limited": 429,
        "broken": 500,
        "broken, stream": 500,
        "no such path": 404,
    }
    streams = 1 + 1 + 10 + 16
    expected = {"ok": 1 + 2 + 10 + streams, "upstream_4xx": 5, "upstream_429": 1, "upstream_5xx": 2}
    # The client closes at `data: [DONE]`, and the end of the body comes after it.
    assert_counted(counted, expected, unread=streams)


def chat(name: str, *, key: str = KEY, **fields: object) -> Ask:
    """Return a request for an answer."""
    message = {"messages": [{"role": "user", "content": "Tell me a story. ☂"}], **fields}
    return Ask(
        name=name,
        method="POST",
        path="/v1/chat/completions",
        headers={"authorization": f"Bearer {key}", "content-type": "application/json"},
        body=json.dumps(message).encode(),
    )


def renumbered(answer: Answer) -> Answer:
    """Without what LiteLLM makes up anew for each answer."""
    return replace(OF_EACH_CALL(answer), body=NEW_EVERY_TIME.sub(b"#", answer.body))


ASKS = [
    Ask(name="models", path="/v1/models", headers={"authorization": f"Bearer {KEY}"}),
    Ask(name="no key", path="/v1/models"),
    chat("answer", model="story"),
    chat("stream", model="story", stream=True),
    chat("stream with usage", model="short", stream=True, stream_options={"include_usage": True}),
    chat("no such model", model="missing"),
    chat("no such model, stream", model="missing", stream=True),
    chat("limited", model="limited"),
    chat("limited, stream", model="limited", stream=True),
    chat("broken", model="broken"),
    replace(chat("no JSON", model="story"), body=b'{"model": "story", "messages": ['),
    replace(chat("chunked", model="story"), body=[b'{"model": "short", "messages": ', b"[]", b"}"]),
    Ask(name="wrong method", method="PUT", path="/v1/chat/completions", body=b""),
    Ask(
        name="options",
        method="OPTIONS",
        path="/v1/chat/completions",
        headers={"origin": "http://page.example"},
    ),
    Ask(name="no such path", path="/nowhere?a=%2F&b"),
]


def test_plain_http(litellm: str, front: Front) -> None:
    """Status, header fields and every byte of the body, event streams included."""
    direct = assert_same(litellm, front, ASKS, normalise=renumbered)

    assert direct["answer"].status == 200
    assert direct["stream"].get("transfer-encoding") == "chunked"
    assert direct["stream"].body.count(b"data: ") > 100
    assert direct["stream"].body.endswith(b"data: [DONE]\n\n")
    assert direct["no such model, stream"].status == 400
    assert direct["limited, stream"].status == 429
    assert direct["no such path"].status == 404


def test_plain_http_at_once(litellm: str, front: Front) -> None:
    """Eight connections at once, each with the same list of requests begun elsewhere."""
    assert_same_at_once(litellm, front, ASKS, clients=8, normalise=renumbered)


def streamed(front: Front) -> Counter[str]:
    """The counters of streams, and how many first tokens there were, over all variants."""
    found: Counter[str] = Counter()
    for name, value in front.samples().items():
        family = name.split("{")[0]
        if family.startswith("headgate_stream") or family == "headgate_first_token_seconds_count":
            found[family.removeprefix("headgate_")] += int(value)
    return found


def test_streams_are_understood(litellm: str, front: Front) -> None:
    """Every one of them to its end, with at least as many tokens as its usage says."""
    asks = [
        chat(f"story {n}", model="story", stream=True, stream_options={"include_usage": True})
        for n in range(4)
    ]
    before = streamed(front)
    direct = assert_same(litellm, front, asks, normalise=renumbered)
    front.settled()

    found = streamed(front) - before
    (usage,) = re.findall(rb'"completion_tokens": ?(\d+)', direct["story 0"].body)
    assert found.pop("stream_tokens_total") >= len(asks) * int(usage)
    # None of them unread, stalled, truncated or broken.
    assert found == {"streams_total": len(asks), "first_token_seconds_count": len(asks)}


async def test_streams_of_a_shadow_agree(litellm: str, tmp_path: Path) -> None:
    """The same mock asked twice: ids, times and how the stream was cut are no disagreement; texts are."""
    asks = [
        chat(f"{model}-{stream}-{number}", model=model, stream=stream)
        for model in ("story", "short")
        for stream in (True, False)
        for number in range(10)
    ]
    shown = await shadow_report(tmp_path, litellm, litellm, asks)

    assert shown.agreed == [len(asks)], shown.report["differences"]
    assert shown.report["agreement"]["rate"] == 1.0
