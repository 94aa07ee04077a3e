"""Whatever a generator makes of the API's own description, no handler fails, and refusals have a remedy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
import requests
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.helpers.live_api import LiveApi, live_api

if TYPE_CHECKING:
    from schemathesis import APIOperation, Case, GenerationMode

# Nothing signs and nothing takes feedback on this plane, and both say so.
AWAY = {"no_key", "no_witness"}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveApi]:
    """A furnished plane; what one example changes the next one finds changed."""
    with live_api(tmp_path_factory.mktemp("api")) as served:
        yield served


def test_a_few_requests_to_every_operation(api: LiveApi) -> None:
    """One that is well formed, and one that is not."""
    assert _drive(api, examples=1) > 70


@pytest.mark.slow
def test_many_requests_to_every_operation(api: LiveApi) -> None:
    """The same, with more of what may be in them."""
    assert _drive(api, examples=25) > 70


def _drive(api: LiveApi, *, examples: int) -> int:
    """Send so many requests of each kind to each operation; returns the number of operations."""
    # Here: every process of the tests collects this file, and one of them needs the library.
    import schemathesis
    from schemathesis.core.result import Ok

    with requests.Session() as session:
        schema = schemathesis.openapi.from_url(f"{api.url}/v1/openapi.json")
        operations = [result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)]
        for operation in operations:
            for mode in _modes(operation):
                _drive_one(api, session, operation, mode, examples)
    return len(operations)


def _modes(operation: APIOperation[Any, Any, Any, Any]) -> list[GenerationMode]:
    """Where there is neither query nor body, nothing can be malformed: every text is a path."""
    from schemathesis import GenerationMode

    modes = [GenerationMode.POSITIVE]
    # Any bytes at all may be an artifact.
    described = any(body.media_type == "application/json" for body in operation.body)
    return [*modes, GenerationMode.NEGATIVE] if operation.query or described else modes


def _drive_one(
    api: LiveApi,
    session: requests.Session,
    operation: APIOperation[Any, Any, Any, Any],
    mode: GenerationMode,
    examples: int,
) -> None:
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode), data=st.data())
    def send(case: Case[Any], data: st.DataObject) -> None:
        for name in case.path_parameters:
            # Nearly every name that is made up is refused at the door; these lead further.
            case.path_parameters[name] = data.draw(
                st.one_of(st.just(case.path_parameters[name]), st.sampled_from(api.known.get(name, ("x",))))
            )
        response = session.request(**case.as_transport_kwargs(base_url=api.url), timeout=60)
        said = f"{case.as_curl_command()}: {response.status_code} {response.text[:500]}"
        if response.status_code < 400:
            return
        error = response.json()["error"]
        assert response.status_code < 500 or error["code"] in AWAY, said
        assert error["message"], said
        assert error["remedy"], said

    send()


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/audit", {"type": "x", "resource_id": "y", "severity": ["info"]}),
        ("GET", f"/v1/decisions?limit={'1' * 5000}", None),
    ],
)
def test_what_a_generator_seldom_finds_is_refused_as_well(
    api: LiveApi, method: str, path: str, body: Any
) -> None:
    """A list where a word belongs, and more digits than Python converts."""
    response = requests.request(method, f"{api.url}{path}", json=body, timeout=60)

    assert response.status_code == 400
    assert response.json()["error"]["remedy"]
