"""A KServe model server at 127.0.0.1:PORT with one model, untrained: where is the largest number of a row?"""

import sys
from typing import Any

import numpy as np
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer
from kserve.errors import InvalidInput
from kserve.protocol.rest.server import RESTServer


class Clouds(Model):  # type: ignore[misc] # its type is known where KServe is installed only
    """Labels rows of four numbers by where their largest one is."""

    def __init__(self) -> None:
        super().__init__("clouds")
        self.ready = True

    def predict(
        self,
        payload: InferRequest,
        headers: dict[str, str] | None = None,
        response_headers: dict[str, str] | None = None,
    ) -> Any:
        """Answer in the way that was asked for: as JSON or as numbers in memory."""
        values = payload.inputs[0].as_numpy()
        if values.shape[1:] != (4,):
            raise InvalidInput(f"rows of 4 numbers are needed, not {values.shape}")
        labels = np.argmax(values, axis=1).astype(np.int64)
        return InferResponse(
            payload.id,
            self.name,
            [InferOutput("predict", list(labels.shape), "INT64", labels)],
            use_binary_outputs=payload.use_binary_outputs,
            requested_outputs=payload.request_outputs,
        )


def main(port: int) -> None:
    """Serve on loopback only; by itself KServe would listen on every address."""
    server = ModelServer(enable_grpc=False)
    server.register_model(Clouds())
    rest = RESTServer(
        "kserve.model_server:app", server.dataplane, server.model_repository_extension, http_port=port
    )
    rest.config.host = "127.0.0.1"
    rest.run()


if __name__ == "__main__":
    main(int(sys.argv[1]))
