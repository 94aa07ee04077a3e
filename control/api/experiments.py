"""Experiments over HTTP: describe one, list them, look at one with its analysis, tell one what to do."""

from collections.abc import Sequence
from typing import Any

import orjson
from aiohttp import web

from control.api.description import Field, operation
from control.api.keys import PLANE
from control.api.requests import choice, json_object, json_response, only, origin_of, page_size, reason_of
from control.experiments.experiment import Experiment
from control.experiments.service import Act, Experiments
from control.experiments.states import TRANSITIONS, Status
from control.plane import Plane
from control.store import undertakings
from control.store.undertakings import Undertaking


def routes() -> list[web.RouteDef]:
    """The paths of experiments."""
    return [
        web.get("/v1/experiments", list_experiments),
        web.post("/v1/experiments", create_experiment),
        web.get("/v1/experiments/{id}", get_experiment),
        *(web.post(f"/v1/experiments/{{id}}/{act}", act_on_experiment) for act in Act),
    ]


@operation(
    query={
        "status": Field(about="only those that stand so"),
        "layer": Field(about="only those of this layer"),
        "route": Field(about="only those of this route"),
        "limit": Field(kind="integer", about="how many at most", default=50, lowest=1, highest=1000),
        "before": Field(about="only older ones than this id"),
    },
)
async def list_experiments(request: web.Request) -> web.Response:
    """Newest first; filtered by status, layer and route."""
    only(request, {"status", "layer", "route", "limit", "before"})
    status = choice(request, "status", Status)
    plane, limit = request.app[PLANE], page_size(request)
    async with plane.ledger.store.read() as connection:
        rows = await undertakings.listed(
            connection,
            undertakings.EXPERIMENTS,
            limit=limit,
            before=request.query.get("before"),
            status=status,
            label=request.query.get("layer"),
            route=request.query.get("route"),
        )
    found = experiments_of(plane, rows)
    return json_response(
        {
            "experiments": [experiment_view(plane.loop.experiments, each) for each in found],
            "next": rows[-1].id if len(rows) == limit else None,
        }
    )


@operation(
    body={
        "name": Field(about="what it is called", required=True),
        "description": Field(about="what it asks"),
        "route": Field(about="where", required=True),
        "variants": Field(kind="object", about="upstreams and their weights", required=True),
        "control": Field(about="which variant the others are compared with"),
        "key": Field(kind="texts", about="what a request is assigned by"),
        "layer": Field(about="experiments of one layer share its keys"),
        "share": Field(kind="number", about="which part of the keys"),
        "alpha": Field(kind="number", about="how often it may be wrong"),
        "metric": Field(
            about="failures, latency:p95, first_byte:p50, first_token:p50, token_time:p50, metric:NAME"
        ),
        "direction": Field(
            about="which way a metric of the route is worse: higher_is_worse or lower_is_worse"
        ),
        "margin": Field(kind="number", about="how close counts as equivalent"),
    },
    status=201,
    errors=(404, 409, 422),
)
async def create_experiment(request: web.Request) -> web.Response:
    """Describe an experiment: a draft."""
    experiments = request.app[PLANE].loop.experiments
    made = await experiments.create(await json_object(request), origin_of(request))
    return json_response(experiment_view(experiments, made), status=201)


async def get_experiment(request: web.Request) -> web.Response:
    """One experiment with its analysis, by its id, or the one that runs on a route."""
    only(request, set())
    experiments = request.app[PLANE].loop.experiments
    found = await experiments.get(request.match_info["id"])
    return json_response(experiment_view(experiments, found))


@operation(
    body={"reason": Field(about="why; kept in history and audit log", default="", highest=1000)},
    errors=(404, 409),
)
async def act_on_experiment(request: web.Request) -> web.Response:
    """Start, pause, complete or cancel."""
    experiments = request.app[PLANE].loop.experiments
    act = Act(request.path.rpartition("/")[2])
    reason = reason_of(await json_object(request, required=False))
    found = await experiments.act(request.match_info["id"], act, reason, origin_of(request))
    return json_response(experiment_view(experiments, found))


def experiments_of(plane: Plane, rows: Sequence[Undertaking]) -> list[Experiment]:
    """Those that run as they are now, the others as they were stored."""
    live = {each.id: each for each in plane.ledger.experiments.values()}
    return [live.get(row.id) or Experiment.from_json(orjson.loads(row.document)) for row in rows]


def experiment_view(experiments: Experiments, experiment: Experiment) -> dict[str, Any]:
    """An experiment as the API shows it."""
    plain = experiment.to_json()
    for internal in ("base", "began", "comparisons", "result"):
        plain.pop(internal)
    begun = experiment.started_at is not None
    return plain | {
        "metric": experiment.metric.text,
        "direction": experiment.metric.direction,
        "analysis": experiments.analysis(experiment) if begun else None,
        "accepts": [event.name.lower() for event in TRANSITIONS[experiment.status]],
    }
