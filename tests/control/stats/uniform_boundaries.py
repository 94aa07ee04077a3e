"""Time-uniform boundaries after Howard et al., as an oracle for intervals that are tuned differently.

Written from the papers: normal, gamma-exponential and beta-binomial mixtures and the Bernoulli interval after
Howard, Ramdas, McAuliffe and Sekhon 2021, section 3; the empirical-process and double-stitched bounds for
quantiles after Howard and Ramdas 2022. V is intrinsic time, S the sum that is bounded.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from scipy.optimize import brentq, minimize_scalar
from scipy.special import betainc, betaln, expit, gammainc, gammaln, logit, ndtr, zeta


def tuned_rho(v: float, alpha: float) -> float:
    """The mixture parameter for which a two-sided normal boundary is tightest near V = v."""
    return v / (2.0 * math.log(1.0 / alpha) + math.log1p(2.0 * math.log(1.0 / alpha)))


def _boundary(log_value: Callable[[float], float], alpha: float, *, start: float, largest: float) -> float:
    """The S at which a mixture that rises in S reaches 1 / alpha."""
    above = min(start, largest)
    while log_value(above) <= math.log(1.0 / alpha):
        if above >= largest:
            return largest
        above = min(2.0 * above, largest)
    return float(brentq(lambda s: log_value(s) - math.log(1.0 / alpha), 0.0, above, xtol=1e-13, rtol=1e-14))


def normal_mixture_bound(v: float, alpha: float, v_opt: float, alpha_opt: float = 0.05) -> float:
    """One-sided normal mixture (proposition 6)."""
    rho = tuned_rho(v_opt, 2.0 * alpha_opt)

    def log_value(s: float) -> float:
        return (
            0.5 * math.log(4.0 * rho / (v + rho))
            + s * s / (2.0 * (v + rho))
            + math.log(ndtr(s / math.sqrt(v + rho)))
        )

    return _boundary(log_value, alpha, start=v, largest=math.inf)


def gamma_exponential_mixture_bound(
    v: float, alpha: float, v_opt: float, c: float, alpha_opt: float = 0.05
) -> float:
    """One-sided gamma-exponential mixture (proposition 9)."""
    rho = tuned_rho(v_opt, 2.0 * alpha_opt)
    prior = rho / c**2
    leading = prior * math.log(prior) - gammaln(prior) - math.log(gammainc(prior, prior))

    def log_value(s: float) -> float:
        shape, scale = (v + rho) / c**2, (c * s + v + rho) / c**2
        return float(
            leading
            + gammaln(shape)
            + math.log(gammainc(shape, scale))
            - shape * math.log(scale)
            + (c * s + v) / c**2
        )

    return _boundary(log_value, alpha, start=v, largest=math.inf)


def _beta_binomial(
    s: float, v: float, v_opt: float, g: float, h: float, alpha_opt: float, *, one_sided: bool
) -> float:
    rho = tuned_rho(v_opt, 2.0 * alpha_opt if one_sided else alpha_opt)
    r = max(rho - g * h, 1e-3 * g * h)
    x = h / (g + h) if one_sided else 1.0

    def log_incomplete(a: float, b: float) -> float:
        return float(betaln(a, b) + (math.log(betainc(a, b, x)) if x < 1.0 else 0.0))

    total = g + h
    return (
        v / (g * h) * math.log(total)
        - (v + h * s) / (h * total) * math.log(g)
        - (v - g * s) / (g * total) * math.log(h)
        + log_incomplete((r + v - g * s) / (g * total), (r + v + h * s) / (h * total))
        - log_incomplete(r / (g * total), r / (h * total))
    )


def beta_binomial_mixture_bound(
    v: float, alpha: float, v_opt: float, g: float, h: float, alpha_opt: float = 0.05
) -> float:
    """One-sided beta-binomial mixture (proposition 7) for steps from -g to h."""
    return _boundary(
        lambda s: _beta_binomial(s, v, v_opt, g, h, alpha_opt, one_sided=True),
        alpha,
        start=v,
        largest=v / g,
    )


def bernoulli_interval(
    x: int, n: int, alpha: float, t_opt: float, alpha_opt: float = 0.05
) -> tuple[float, float]:
    """The confidence sequence of a rate by two-sided beta-binomial mixtures, tightest near n = t_opt."""
    estimate = x / n

    def excess(p: float) -> float:
        variance = p * (1.0 - p)
        log_value = _beta_binomial(
            (estimate - p) * n, variance * n, variance * t_opt, p, 1.0 - p, alpha_opt, one_sided=False
        )
        return log_value - math.log(1.0 / alpha)

    tiny = 1e-12
    low = 0.0 if x == 0 else float(brentq(excess, tiny, estimate, xtol=1e-15))
    high = 1.0 if x == n else float(brentq(excess, estimate, 1.0 - tiny, xtol=1e-15))
    return low, high


def empirical_process_lil_bound(t: float, alpha: float, t_min: float, a: float = 0.85) -> float:
    """How far an empirical distribution function strays, uniformly over values and times from t_min on."""

    def chance(c: float, eta: float) -> float:
        gamma2 = 2.0 / eta * (a - math.sqrt(2.0 * (eta - 1.0) / c)) ** 2
        if gamma2 <= 1.0:
            return math.inf
        return 4.0 * math.exp(-gamma2 * c) * (1.0 + 1.0 / ((gamma2 - 1.0) * math.log(eta)))

    def smallest_chance(c: float) -> float:
        largest = brentq(
            lambda eta: math.sqrt(eta / 2.0) + math.sqrt(2.0 * (eta - 1.0) / c) - a, 1.0, 2.0 * a * a
        )
        found = minimize_scalar(
            lambda eta: chance(c, eta), bounds=(1.0, largest), method="bounded", options={"xatol": 1e-12}
        )
        return float(found.fun)

    constant = brentq(lambda c: smallest_chance(c) - alpha, 5.0, 40.0, xtol=1e-13)
    return a * math.sqrt((math.log1p(math.log(t / t_min)) + constant) / t)


def double_stitching_bound(
    p: float, t: float, alpha: float, t_opt: float, delta: float = 0.5, s: float = 1.4, eta: float = 2.0
) -> float:
    """How far the count below the p-quantile strays, uniformly over quantiles and times."""
    k1 = (eta**0.25 + eta**-0.25) / math.sqrt(2.0)
    k2 = (math.sqrt(eta) + 1.0) / 2.0
    time = max(t, t_opt)
    r = p if p >= 0.5 else min(0.5, float(expit(logit(p) + 2.0 * delta * math.sqrt(t_opt * eta / time))))
    variance = r * (1.0 - r)
    j = math.sqrt(time / t_opt) * abs(float(logit(p))) / (2.0 * delta) + 1.0
    z = float(zeta(s))
    ell = (
        s * math.log(math.log(eta * time / t_opt))
        + s * math.log(j)
        + math.log(2.0 * z * (2.0 * z + 1.0) / (alpha * math.log(eta) ** s))
    )
    skew = k2 * (1.0 - 2.0 * p) / 3.0 * ell
    return (
        delta * math.sqrt(eta * time * variance / t_opt)
        + math.sqrt(k1 * k1 * variance * time * ell + skew * skew)
        + skew
    )
