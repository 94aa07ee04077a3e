"""Numbers with a tolerance."""

from __future__ import annotations

from proxy.compare.rules import Rules


def close(primary: float, shadow: float, rules: Rules) -> bool:
    """Whether two numbers differ by no more than allowed; symmetric, and monotone in both tolerances."""
    if primary == shadow:
        return True
    try:
        largest = max(abs(primary), abs(shadow))
        return abs(primary - shadow) <= max(rules.absolute, rules.relative * largest)
    except OverflowError:
        # A whole number beyond all floats: equal or not, nothing in between.
        return False
