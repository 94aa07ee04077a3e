"""A model for MLServer that answers a stream slowly: its parts come PAUSE_SECONDS apart."""

import asyncio
from collections.abc import AsyncIterator

from mlserver import MLModel  # type: ignore[import-not-found]
from mlserver.codecs import StringCodec  # type: ignore[import-not-found]
from mlserver.types import InferenceRequest, InferenceResponse  # type: ignore[import-not-found]

TICKS = 5
PAUSE_SECONDS = 0.3


class Ticking(MLModel):  # type: ignore[misc] # its type is known where MLServer is installed only
    """Counts."""

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answer with the first tick at once."""
        return self._tick(payload, 0)

    async def predict_stream(
        self, payloads: AsyncIterator[InferenceRequest]
    ) -> AsyncIterator[InferenceResponse]:
        """Answer with all ticks, one after the other."""
        payload = await anext(payloads)
        for number in range(TICKS):
            if number:
                await asyncio.sleep(PAUSE_SECONDS)
            yield self._tick(payload, number)

    def _tick(self, payload: InferenceRequest, number: int) -> InferenceResponse:
        return InferenceResponse(
            model_name=self.name,
            id=payload.id,
            outputs=[StringCodec.encode_output("output", [f"tick {number}"])],
        )
