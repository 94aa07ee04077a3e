"""Endpoints are picked by weight, and the well before the ejected."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from scipy.stats import chisquare

from proxy.arms import EndpointSpec
from proxy.balance import BALANCERS, make_balancer
from proxy.balancers.base import Balancer
from proxy.balancers.least_in_flight import LeastInFlight
from proxy.balancers.round_robin import RoundRobin
from proxy.endpoint import Endpoint


def endpoints(*weights: int) -> list[Endpoint]:
    """Endpoints of these weights, known by their port from 1."""
    return [Endpoint(EndpointSpec("127.0.0.1", port, weight)) for port, weight in enumerate(weights, 1)]


def picked(balancer: Balancer, candidates: list[Endpoint], count: int) -> list[int]:
    """Ports of the next picks, none of which is ever in flight."""
    balancer.prepare(candidates)
    return [balancer.pick(candidates).port for _ in range(count)]


def test_round_robin_takes_turns() -> None:
    """Equal endpoints are picked in turn, starting anywhere."""
    ports = picked(RoundRobin(), endpoints(1, 1, 1), 9)

    assert ports[:3] == ports[3:6] == ports[6:]
    assert sorted(ports[:3]) == [1, 2, 3]


def test_round_robin_spreads_weights_evenly() -> None:
    """A heavy endpoint gets its share in each cycle, and not all at once."""
    ports = picked(RoundRobin(), endpoints(5, 1, 1), 21)

    for cycle in (ports[:7], ports[7:14], ports[14:]):
        assert Counter(cycle) == {1: 5, 2: 1, 3: 1}
        assert cycle != [1, 1, 1, 1, 1, 2, 3]
    assert "1, 1, 1, 1" not in str(ports[:7])


def test_round_robin_starts_anywhere() -> None:
    """Workers that start together do not all begin with the same endpoint."""
    starts = {picked(RoundRobin(), endpoints(1, 1, 1, 1), 1)[0] for _ in range(100)}

    assert starts == {1, 2, 3, 4}


@pytest.mark.parametrize("weights", [(1, 1, 1, 1), (4, 3, 2, 1)])
def test_idle_upstream_is_used_by_weight(weights: tuple[int, ...]) -> None:
    """With nothing in flight least in flight draws by weight."""
    random.seed(7)
    counts = Counter(picked(LeastInFlight(), endpoints(*weights), 20_000))

    expected = [20_000 * weight / sum(weights) for weight in weights]
    # The seed is fixed; a correct draw fails for one seed in a thousand.
    assert chisquare([counts[port] for port in (1, 2, 3, 4)], expected).pvalue > 0.001


def test_busy_endpoint_is_passed_over() -> None:
    """Of two endpoints the less busy for its weight is always picked."""
    balancer = LeastInFlight()
    light, heavy = endpoints(1, 4)
    balancer.prepare([light, heavy])
    candidates = [light, heavy]

    light.in_flight, heavy.in_flight = 1, 3
    assert {balancer.pick(candidates).port for _ in range(50)} == {heavy.port}
    light.in_flight, heavy.in_flight = 1, 5
    assert {balancer.pick(candidates).port for _ in range(50)} == {light.port}


def test_two_choices_keep_the_load_level() -> None:
    """Under requests of random length the busiest of ten endpoints stays near the average."""
    random.seed(3)
    balancer = LeastInFlight()
    candidates = endpoints(*[1] * 10)
    balancer.prepare(candidates)
    running: list[Endpoint] = []
    excess = 0
    for _ in range(20_000):
        endpoint = balancer.pick(candidates)
        endpoint.in_flight += 1
        running.append(endpoint)
        if len(running) > 100:
            done = running.pop(random.randrange(len(running)))
            done.in_flight -= 1
        excess = max(excess, max(e.in_flight for e in candidates) - 10)

    # A single random choice reaches an excess of about 12 here.
    assert excess <= 5


@pytest.mark.parametrize("name", sorted(BALANCERS))
@pytest.mark.parametrize("weights", [(1, 1, 1), (3, 2, 1)])
def test_ejected_endpoint_is_not_picked(name: str, weights: tuple[int, ...]) -> None:
    """Nothing goes to an ejected endpoint while another is well; it comes back by its weight."""
    balancer = make_balancer(name)
    candidates = endpoints(*weights)
    balancer.prepare(candidates)

    candidates[0].available = False
    assert {balancer.pick(candidates).port for _ in range(200)} == {2, 3}
    candidates[0].available = True
    assert {balancer.pick(candidates).port for _ in range(200)} == {1, 2, 3}


@pytest.mark.parametrize("name", sorted(BALANCERS))
@pytest.mark.parametrize("weights", [(1, 1, 1), (3, 2, 1)])
def test_retry_goes_elsewhere(name: str, weights: tuple[int, ...]) -> None:
    """The endpoint that has just failed is avoided while there is another."""
    balancer = make_balancer(name)
    candidates = endpoints(*weights)
    balancer.prepare(candidates)

    assert {balancer.pick(candidates, candidates[1]).port for _ in range(200)} == {1, 3}
    candidates[0].available = candidates[2].available = False
    assert {balancer.pick(candidates, candidates[1]).port for _ in range(50)} == {2}


@pytest.mark.parametrize("name", sorted(BALANCERS))
@pytest.mark.parametrize("weights", [(1, 1, 1), (3, 2, 1)])
def test_nobody_well_means_everybody_is_tried(name: str, weights: tuple[int, ...]) -> None:
    """With every endpoint ejected requests are still sent, away from the one that has just failed."""
    balancer = make_balancer(name)
    candidates = endpoints(*weights)
    balancer.prepare(candidates)
    for endpoint in candidates:
        endpoint.available = False

    assert {balancer.pick(candidates).port for _ in range(200)} == {1, 2, 3}
    assert {balancer.pick(candidates, candidates[0]).port for _ in range(200)} == {2, 3}


@pytest.mark.parametrize("name", sorted(BALANCERS))
def test_single_endpoint_is_always_picked(name: str) -> None:
    """Where there is no choice there is none to make, avoided or ejected."""
    balancer = make_balancer(name)
    candidates = endpoints(1)
    balancer.prepare(candidates)
    candidates[0].available = False

    assert balancer.pick(candidates, candidates[0]) is candidates[0]


@pytest.mark.parametrize("name", sorted(BALANCERS))
def test_earlier_table_may_still_ask(name: str) -> None:
    """A request that began under the table before picks among that table's endpoints."""
    balancer = make_balancer(name)
    earlier, later = endpoints(1, 1), endpoints(1, 1, 1)
    balancer.prepare(earlier)
    balancer.prepare(later)

    assert {id(balancer.pick(earlier)) for _ in range(100)} == {id(endpoint) for endpoint in earlier}


@pytest.mark.parametrize("weights", [(1,), (2, 1), (1000, 1, 1), (7, 5, 3, 2)])
def test_smooth_order_is_never_far_from_the_shares(weights: tuple[int, ...]) -> None:
    """At no time is an endpoint more than two requests from its share."""
    candidates = endpoints(*weights)
    counts = Counter[int]()
    for number, port in enumerate(picked(RoundRobin(), candidates, 3_000), 1):
        counts[port] += 1
        for endpoint in candidates:
            assert abs(counts[endpoint.port] - number * endpoint.weight / sum(weights)) < 2
