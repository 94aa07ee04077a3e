"""Ask an OpenAI-compatible server at URL with the openai client, and print what it answered as JSON."""

import asyncio
import json
import sys
from typing import Any

from openai import APIStatusError, AsyncOpenAI, OpenAI

KEY = "sk-headgate-test"
MODEL = "story"
QUESTION: list[Any] = [{"role": "user", "content": "Tell me a story. ☂"}]
TIMEOUT = 60.0
AT_ONCE = 16


def plain(value: Any) -> Any:
    """Return an answer or a chunk as plain values; what is new every time is replaced by what it is."""
    found = value.model_dump(mode="json", warnings=False)
    for name in ("id", "created"):
        if name in found:
            found[name] = type(found[name]).__name__
    return found


def stream(client: OpenAI, **options: Any) -> Any:
    """Return every chunk of a streamed answer, and whether all belong to one answer."""
    chunks = list(client.chat.completions.create(messages=QUESTION, stream=True, **options))
    return {"chunks": [plain(chunk) for chunk in chunks], "ids": len({chunk.id for chunk in chunks})}


def raw(client: OpenAI, **options: Any) -> Any:
    """Return an answer with its status and content type."""
    answer = client.chat.completions.with_raw_response.create(messages=QUESTION, **options)
    return {
        "status": answer.status_code,
        "content-type": answer.headers.get("content-type"),
        "answer": plain(answer.parse()),
    }


def told(call: Any) -> Any:
    """Return what a call gives, an error as its type, status and body."""
    try:
        return call()
    except APIStatusError as exc:
        return {"error": type(exc).__name__, "status": exc.status_code, "body": exc.body}


async def at_once(url: str) -> list[Any]:
    """Return the text of streams that run at the same time, half of them from another model."""
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0, timeout=TIMEOUT) as client:

        async def text(model: str) -> str:
            answer = await client.chat.completions.create(messages=QUESTION, model=model, stream=True)
            return "".join([chunk.choices[0].delta.content or "" async for chunk in answer if chunk.choices])

        models = [MODEL if number % 2 else "short" for number in range(AT_ONCE)]
        return list(await asyncio.gather(*(text(model) for model in models)))


def main(url: str) -> None:
    """Ask everything, and print one JSON object."""
    client = OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0, timeout=TIMEOUT)
    stranger = client.with_options(api_key="sk-unknown")
    cases: dict[str, Any] = {
        "models": lambda: sorted(model.id for model in client.models.list()),
        "answer": lambda: raw(client, model=MODEL),
        "answer, other model": lambda: raw(client, model="short"),
        "answers": lambda: [raw(client, model=MODEL)["answer"] for _ in range(10)],
        "stream": lambda: stream(client, model=MODEL),
        "stream with usage": lambda: stream(client, model=MODEL, stream_options={"include_usage": True}),
        "streams": lambda: [stream(client, model="short") for _ in range(10)],
        "no such model": lambda: raw(client, model="missing"),
        "no such model, stream": lambda: stream(client, model="missing"),
        "bad input": lambda: raw(client, model=MODEL, extra_body={"messages": "no list"}),
        "unknown key": lambda: raw(stranger, model=MODEL),
        "limited": lambda: raw(client, model="limited"),
        "broken": lambda: raw(client, model="broken"),
        "broken, stream": lambda: stream(client, model="broken"),
        "no such path": lambda: client.get("/nowhere", cast_to=object),
    }
    answers = {name: told(call) for name, call in cases.items()}
    client.close()
    answers["streams at once"] = asyncio.run(at_once(url))
    print(json.dumps(answers))


if __name__ == "__main__":
    main(sys.argv[1])
