"""What an operator can write wrongly in a split, all of it told at once."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.splits.spec import SplitConfigError
from tests.helpers.routing import spec_of

TWO = {"v1": 90, "v2": 10}


def faults(kind: str, **params: Any) -> list[tuple[str, str]]:
    """Path and problem of everything that is wrong."""
    with pytest.raises(SplitConfigError) as caught:
        spec_of(kind, **params)
    assert all(fault.remedy for fault in caught.value.faults)
    return [(".".join(str(part) for part in fault.path), fault.problem) for fault in caught.value.faults]


@pytest.mark.parametrize(
    ("written", "shares"),
    [
        ({"v1": 90, "v2": 10}, [0.9, 0.1]),
        ({"v1": "90%", "v2": "10 %"}, [0.9, 0.1]),
        ({"v1": 0.9, "v2": 0.1}, [0.9, 0.1]),
        ({"v1": 99.99, "v2": 0.01}, [0.9999, 0.0001]),
        ({"v1": 33.33, "v2": 33.33, "v3": 33.33}, [1 / 3] * 3),
        ({"v1": 1, "v2": 0}, [1.0, 0.0]),
    ],
)
def test_shares(written: dict[str, object], shares: list[float]) -> None:
    """Shares are percentages or fractions; a hundredth of a percent is taken for rounding."""
    spec = spec_of("random", variants=written)

    assert [variant.weight for variant in spec.variants] == pytest.approx(shares)
    assert sum(variant.weight for variant in spec.variants) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(
    ("variants", "expected"),
    [
        ({"v1": 90, "v2": 5}, [("variants", "the shares add up to 95, not to 100")]),
        ({"v1": "0.5%", "v2": "0.5%"}, [("variants", "the shares add up to 1, not to 100")]),
        ({"v1": 9000, "v2": 10}, [("variants.v1", "9000 is outside 0 to 100")]),
        ({"v1": -1, "v2": 101}, [("variants.v1", "-1 is outside"), ("variants.v2", "101 is outside")]),
        ({"v1": float("nan"), "v2": 1}, [("variants.v1", "nan is outside")]),
        ({"v1": "most", "v2": True}, [("variants.v1", "is not a share"), ("variants.v2", "is not a share")]),
        ({"v1": 99.995, "v2": 0.005}, [("variants.v2", "0.005% is too small a share")]),
        ({"v1": 90, "v9": 10}, [("variants.v9", "there is no upstream 'v9'")]),
        ({7: 90, "v2": 10}, [("variants.7", "is not the name of an upstream")]),
        ({"v1": 100}, [("variants", "has 1 variant")]),
        ([], [("variants", "is not a mapping")]),
        (None, [("variants", "is not a mapping")]),
    ],
)
def test_bad_shares(variants: object, expected: list[tuple[str, str]]) -> None:
    """Shares that do not fit are refused at the place where they stand."""
    found = faults("percentage", variants=variants)

    assert len(found) == len(expected)
    for (path, problem), (where, text) in zip(found, expected, strict=True):
        assert path == where
        assert problem.startswith(text)


@pytest.mark.parametrize(
    ("kind", "params", "expected"),
    [
        ("direct", {}, [("", "a direct split needs 'upstream'")]),
        ("direct", {"upstream": "v9"}, [("upstream", "there is no upstream 'v9'")]),
        ("direct", {"upstream": 5}, [("upstream", "is not the name of an upstream")]),
        ("random", {"variants": TWO, "key": "header:a"}, [("key", "a random split has no 'key'")]),
        ("percentage", {"variants": TWO, "block": 1}, [("block", "is not a whole number in range")]),
        ("percentage", {"variants": TWO, "block": True}, [("block", "is not a whole number in range")]),
        ("hash", {"variants": TWO}, [("", "a hash split needs 'key'")]),
        ("hash", {"variants": TWO, "key": []}, [("key", "names 0 keys")]),
        ("hash", {"variants": TWO, "key": ["header:a"] * 9}, [("key", "names 9 keys")]),
        ("hash", {"variants": TWO, "key": [5]}, [("key.0", "is not a key")]),
        ("hash", {"variants": TWO, "key": "header"}, [("key", "'header' is not a key")]),
        ("hash", {"variants": TWO, "key": ["jwt:a", "jwt:a"]}, [("key.1", "jwt:a is named twice")]),
        ("hash", {"variants": TWO, "key": "jwt:a", "salt": ""}, [("salt", "is not a short text")]),
        ("hash", {"variants": TWO, "key": "jwt:a", "default_key": 5}, [("default_key", "is not a short")]),
        ("canary", {"stable": "v1", "canary": "v1"}, [("canary", "'v1' is the stable upstream too")]),
        ("canary", {"stable": "v1", "canary": "v2", "weight": 5}, [("weight", "5 is more than everything")]),
        ("canary", {"stable": "v1", "canary": "v2", "weight": "x"}, [("weight", "'x' is not a share")]),
        ("canary", {"stable": "v1", "canary": "v2", "control": "no"}, [("control", "is neither true")]),
    ],
)
def test_bad_parameters(kind: str, params: dict[str, object], expected: list[tuple[str, str]]) -> None:
    """Each parameter that cannot be used is refused at its place."""
    found = faults(kind, **params)

    assert found[0][0] == expected[0][0]
    assert found[0][1].startswith(expected[0][1])


def test_everything_is_told_at_once() -> None:
    """One look shows every fault of a split."""
    found = faults(
        "canary", stable="v8", canary=5, weight="500%", keys="x", key=["nowhere", "path:x"], control=1
    )

    assert sorted(path for path, _ in found) == sorted(
        ["keys", "stable", "canary", "weight", "control", "key.0", "key.1"]
    )
