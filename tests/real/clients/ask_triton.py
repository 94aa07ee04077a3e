"""Ask a KServe v2 server at URL with tritonclient, and print what it answered as JSON."""

import json
import sys
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

MODEL = "clouds"
ROWS = 4
MANY_ROWS = 20_000
AT_ONCE = 8
CALLS = 64
# The client does not say what it sends, and not every server guesses. It adds to what it is given.
JSON = {"content-type": "application/json"}


def points(rows: int, seed: int = 1) -> Any:
    """Return generated inputs, the same for the same arguments."""
    return np.random.default_rng(seed).normal(scale=8.0, size=(rows, 4))


def infer_input(values: Any, *, binary: bool = False) -> Any:
    """Return one input tensor; as JSON, or with its numbers as they are in memory."""
    tensor = InferInput("predict", list(values.shape), "FP64")
    tensor.set_data_from_numpy(values, binary_data=binary)
    return tensor


def told(url: str, call: Any) -> Any:
    """Return what a call with a client of its own gives, an error as its status and message."""
    client = connect(url)
    try:
        return call(client)
    except InferenceServerException as exc:
        return {"status": exc.status(), "message": exc.message()}
    finally:
        client.close()


def connect(url: str) -> Any:
    """Return a client that opens up to AT_ONCE connections and keeps them."""
    return InferenceServerClient(urlsplit(url).netloc, concurrency=AT_ONCE)


def result(answer: Any) -> Any:
    """Return a result as plain values."""
    return {"response": answer.get_response(), "labels": answer.as_numpy("predict").tolist()}


def infer(client: Any, values: Any, model: str = MODEL, *, binary: bool = False, **options: Any) -> Any:
    """Ask for predictions and wait for them."""
    inputs = [infer_input(values, binary=binary)]
    outputs = [InferRequestedOutput("predict", binary_data=binary)]
    headers = {} if binary else dict(JSON)
    return result(client.infer(model, inputs, outputs=outputs, request_id="r-1", headers=headers, **options))


def at_once(client: Any) -> Any:
    """Ask CALLS times before the first answer is read."""
    pending = [
        client.async_infer(MODEL, [infer_input(points(2, seed))], request_id=f"r-{seed}", headers=dict(JSON))
        for seed in range(CALLS)
    ]
    return [result(request.get_result()) for request in pending]


def main(url: str) -> None:
    """Ask everything, and print one JSON object."""
    few, many = points(ROWS), points(MANY_ROWS)
    up: dict[str, Any] = {"request_compression_algorithm": "gzip"}
    down: dict[str, Any] = {"response_compression_algorithm": "gzip"}
    cases: dict[str, Any] = {
        "live": lambda client: client.is_server_live(),
        "ready": lambda client: client.is_server_ready(),
        "model ready": lambda client: client.is_model_ready(MODEL),
        "server metadata": lambda client: client.get_server_metadata(),
        "model metadata": lambda client: client.get_model_metadata(MODEL),
        "json": lambda client: infer(client, few),
        "json, large": lambda client: infer(client, many),
        "request compressed": lambda client: infer(client, many, **up),
        "response compressed": lambda client: infer(client, many, **down),
        "both compressed": lambda client: infer(client, many, **up, **down),
        "both compressed, small": lambda client: infer(client, few, **up, **down),
        "deflated": lambda client: infer(client, few, request_compression_algorithm="deflate"),
        "binary": lambda client: infer(client, few, binary=True),
        "binary, large": lambda client: infer(client, many, binary=True),
        "with parameters": lambda client: infer(client, few, parameters={"note": "a ü ☂"}),
        "no such model": lambda client: infer(client, few, "missing"),
        "no such model, metadata": lambda client: client.get_model_metadata("missing"),
        "no such model, ready": lambda client: client.is_model_ready("missing"),
        "no such version": lambda client: infer(client, few, model_version="99"),
        "wrong shape": lambda client: infer(client, points(ROWS)[:, :2]),
        "one after the other": lambda client: [
            infer(client, points(1, seed))["labels"] for seed in range(CALLS)
        ],
        "at once": at_once,
    }
    print(json.dumps({name: told(url, call) for name, call in cases.items()}))


if __name__ == "__main__":
    main(sys.argv[1])
