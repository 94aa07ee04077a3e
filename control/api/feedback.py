"""`POST /v1/feedback`: what became of a request, reported when it is known."""

from typing import Any, Final

from aiohttp import web

from control.api.description import Field, operation
from control.api.errors import ApiError
from control.api.keys import PLANE
from control.api.requests import json_object, json_response
from control.feedback import ITEMS_MAX, Fate, Item

_TEXT_MAX: Final = 256
_BYTES_MAX: Final = 1024 * 1024
_SHAPE: Final = 'send {"request_id": "…", "metric": "…", "value": 0.5}, or such objects in a list "items"'
_REMEDIES: Final = {
    Fate.FOREIGN: "send the id that the answer carried, as it was",
    Fate.TOO_OLD: "report within three and a half days",
    Fate.UNKNOWN_METRIC: "name a metric of the route whose source is feedback",
    Fate.NO_NUMBER: "send a finite number",
}


def routes() -> list[web.RouteDef]:
    """The path of feedback."""
    return [web.post("/v1/feedback", post_feedback)]


@operation(
    body={
        "request_id": Field(about="the id that the answer carried", highest=256),
        "metric": Field(about="a metric fed by feedback", highest=256),
        "value": Field(kind="number", about="what was found"),
        "items": Field(kind="objects", about="several of these three fields, and nothing beside it"),
    },
    errors=(413, 422, 429),
)
async def post_feedback(request: web.Request) -> web.Response:
    """One item: 200 when it counts or is a duplicate, 422 when not. Several: 200 with the fate of each."""
    book = request.app[PLANE].feedback
    if book is None:
        raise ApiError(503, "no_key", "there is no key to tell requests by", "see the log of control")
    if (request.content_length or 0) > _BYTES_MAX:
        raise ApiError(413, "too_large", f"more than {_BYTES_MAX} bytes", "send fewer items at once")
    body = await json_object(request)
    several = "items" in body
    items = _items(body)
    if not book.admit(len(items)):
        raise ApiError(
            429, "too_many", "more feedback than can be taken at once", "send it again in a second"
        )
    fates = await book.take(items)
    if several:
        return json_response(
            {"accepted": fates.count(Fate.ACCEPTED), "items": [{"status": fate.value} for fate in fates]}
        )
    fate = fates[0]
    if fate in _REMEDIES:
        raise ApiError(422, fate.value, f"the value was not counted: {fate.value}", _REMEDIES[fate])
    return json_response({"status": fate.value})


def _items(body: dict[str, Any]) -> list[Item]:
    given = body.get("items", [body])
    if not isinstance(given, list) or not 1 <= len(given) <= ITEMS_MAX or ("items" in body and len(body) > 1):
        raise ApiError(400, "invalid_body", f"items is not a list of 1 to {ITEMS_MAX} objects", _SHAPE)
    return [_item(item, f"items[{place}]" if "items" in body else "body") for place, item in enumerate(given)]


def _item(given: object, place: str) -> Item:
    if not isinstance(given, dict) or given.keys() != {"request_id", "metric", "value"}:
        raise ApiError(400, "invalid_body", f"{place}: needs request_id, metric and value only", _SHAPE)
    request_id, metric, value = given["request_id"], given["metric"], given["value"]
    if not all(isinstance(text, str) and 0 < len(text) <= _TEXT_MAX for text in (request_id, metric)):
        raise ApiError(400, "invalid_body", f"{place}: request_id and metric must be texts", _SHAPE)
    if not isinstance(value, (bool, int, float)):
        raise ApiError(400, "invalid_body", f"{place}: value must be a number, true or false", _SHAPE)
    return Item(request_id=request_id, metric=metric, value=float(value))
