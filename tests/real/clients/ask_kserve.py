"""Ask a KServe v2 server at URL with kserve's client, and print what it answered as JSON."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import httpx  # type: ignore[import-not-found]
import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

MODEL = "clouds"
CALLS = 32
TIMEOUT = 60.0

Call = Callable[[Any], Awaitable[Any]]


def request(values: Any, *, binary: bool = False, name: str = "r-1") -> Any:
    """Return a request for predictions; as JSON, or with its numbers as they are in memory."""
    tensor = InferInput("predict", list(values.shape), "FP64")
    tensor.set_data_from_numpy(values, binary_data=binary)
    return InferRequest(
        MODEL, [tensor], request_id=name, parameters={"binary_data_output": True} if binary else None
    )


def points(rows: int, seed: int = 1) -> Any:
    """Return generated inputs, the same for the same arguments."""
    return np.random.default_rng(seed).normal(scale=8.0, size=(rows, 4))


async def told(url: str, call: Call) -> Any:
    """Return what a call with a client of its own gives, an error as its status and body."""
    async with InferenceRESTClient(RESTConfig(protocol="v2", retries=0, timeout=TIMEOUT)) as client:
        try:
            return await call(client)
        except httpx.HTTPStatusError as exc:
            return {"status": exc.response.status_code, "body": exc.response.text}


async def main(url: str) -> None:
    """Ask everything, and print one JSON object."""

    async def infer(client: Any, asked: Any, model: str = MODEL) -> Any:
        headers: dict[str, str] = {}
        answer = await client.infer(url, asked, model_name=model, response_headers=headers)
        kept = ("content-type", "content-length", "ce-id", "inference-header-content-length")
        return {
            "outputs": [(output.name, output.shape, output.as_numpy().tolist()) for output in answer.outputs],
            "id": answer.id,
            "headers": {name: headers.get(name) for name in kept},
        }

    async def one_after_the_other(client: Any) -> Any:
        return [await infer(client, request(points(3, seed))) for seed in range(CALLS)]

    async def at_once(client: Any) -> Any:
        asked = [request(points(3, seed), name=f"r-{seed}") for seed in range(CALLS)]
        return await asyncio.gather(*(infer(client, one) for one in asked))

    cases: dict[str, Call] = {
        "model ready": lambda client: client.is_model_ready(url, MODEL),
        "no such model, ready": lambda client: client.is_model_ready(url, "missing"),
        "json": lambda client: infer(client, request(points(4))),
        "json, large": lambda client: infer(client, request(points(20_000))),
        "binary": lambda client: infer(client, request(points(4), binary=True)),
        "binary, large": lambda client: infer(client, request(points(20_000), binary=True)),
        "no such model": lambda client: infer(client, request(points(4)), "missing"),
        "no inputs": lambda client: infer(client, {"id": "r-2"}),
        "wrong shape": lambda client: infer(client, request(points(4)[:, :2])),
        "one after the other": one_after_the_other,
        "at once": at_once,
    }
    print(json.dumps({name: await told(url, call) for name, call in cases.items()}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
