"""Figures are made of slices as the benchmarks' README says."""

from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks.load.plot import plot
from benchmarks.load.report import markdown, merged, quartiles, ratios, raw, summarise
from benchmarks.load.slices import Slice
from benchmarks.load.workloads import WORKLOADS


def slice_of(peer: str, cost_us: float, *, count: int = 1000, failures: int = 0) -> Slice:
    return Slice(
        workload="w1",
        peer=peer,
        round=1,
        seconds=2.0,
        count=count,
        failures=failures,
        cpu_us=cost_us * count,
        rss_bytes=20 * 2**20,
        load_cpu_share=0.5,
        p50_us=100.0,
        p90_us=150.0,
        p99_us=200.0,
        p999_us=300.0,
    )


def test_ratio_is_to_the_neighbouring_slices_of_the_reference() -> None:
    """A machine that gets slower in between does not change the ratio."""
    slices = [
        slice_of("nginx", 10),
        slice_of("a", 15),
        slice_of("nginx", 20),
        slice_of("a", 60),
        slice_of("nginx", 40),
    ]

    assert ratios(slices) == {"a": [15 / 15, 60 / 30]}


def test_last_slice_has_one_neighbour() -> None:
    """Without a slice of the reference on one side the other one counts."""
    assert ratios([slice_of("a", 5), slice_of("nginx", 10), slice_of("b", 20)]) == {"a": [0.5], "b": [2.0]}


def test_rounds_of_two_runs_make_one_result() -> None:
    """Ratios of both runs are in the figures, and neither takes the other's slices for neighbours."""
    runs: list[dict[str, Any]] = []
    for cost_us in (10, 20):
        slices = [slice_of("nginx", cost_us), slice_of("a", 2 * cost_us), slice_of("nginx", cost_us)]
        runs.append(
            {
                "machine": {"load_average": cost_us},
                "rounds": 1,
                "slices": raw(slices),
                "errors": [f"{cost_us}"],
                "workloads": {"w1": summarise(WORKLOADS["w1"], slices)},
            }
        )

    both = merged(runs[0], runs[1])
    thrice = merged(both, runs[1])

    assert both["workloads"]["w1"]["peers"]["a"]["ratio"] == {"median": 2.0, "q1": 2.0, "q3": 2.0, "n": 2}
    assert (both["rounds"], both["errors"], len(both["slices"])) == (2, ["10", "20"], 6)
    assert [machine["load_average"] for machine in thrice["machines"]] == [10, 20, 20]


def test_no_ratio_without_the_reference() -> None:
    """Nothing is made up where there is nothing to compare with."""
    assert ratios([slice_of("a", 5)]) == {}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([3.0], {"median": 3.0, "q1": 3.0, "q3": 3.0, "n": 1}),
        ([1.0, 2.0, 3.0, 4.0, 5.0], {"median": 3.0, "q1": 2.0, "q3": 4.0, "n": 5}),
    ],
)
def test_quartiles(values: list[float], expected: dict[str, float]) -> None:
    """Median and quartiles of what was measured, one value included."""
    assert quartiles(values) == expected


def test_table_names_cost_ratio_and_failures() -> None:
    """The Markdown has one row for each proxy, and failures cannot be overlooked."""
    slices = [slice_of("nginx", 10), slice_of("headgate", 9.5, failures=3), slice_of("nginx", 10)]

    table = markdown({"workloads": {"w1": summarise(WORKLOADS["w1"], slices)}})

    assert "| nginx | 1 | 10.0 µs | 500 | 100 µs | 200 µs | 20 MiB | 0 |" in table
    assert "| headgate | **0.95** (0.95–0.95) | 9.5 µs | 500 | 100 µs | 200 µs | 20 MiB | 3 |" in table


def test_plot_draws_a_longer_bar_for_what_costs_more() -> None:
    """One bar for each proxy that has a ratio, the cheapest first, its length by its median."""
    slices = [slice_of(name, cost) for name, cost in (("nginx", 10), ("a<b", 40), ("nginx", 10), ("c", 20))]
    slices.append(slice_of("nginx", 10))

    tree = ElementTree.fromstring(plot({"workloads": {"w1": summarise(WORKLOADS["w1"], slices)}}))

    bars = [
        float(bar.get("width", "0")) for bar in tree.iterfind("{*}rect[@fill]") if bar.get("height") == "16"
    ]
    texts = [text.text for text in tree.iterfind("{*}text")]
    assert len(bars) == 2
    assert 0 < bars[0] < bars[1]
    assert [text for text in texts if text in ("c", "a<b", "nginx")] == ["c", "a<b"]
    assert {"2.00", "4.00"} <= set(texts)


def test_plot_of_the_reference_alone_has_no_bar() -> None:
    """A run of one proxy is no comparison, and no failure."""
    summary = {"workloads": {"w1": summarise(WORKLOADS["w1"], [slice_of("nginx", 10)])}}

    assert WORKLOADS["w1"].title not in plot(summary)
