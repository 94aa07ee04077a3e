"""Every vector of stats_vectors.json, to relative 1e-9 (1e-7 for ratios of probability masses)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from control.stats.affine import affine_log_e
from control.stats.events import Tally
from control.stats.hypergeometric import log_mgf_exact
from control.stats.intervals import newcombe, wald, wilson, z_test
from control.stats.mantel_haenszel import odds_ratio, risk_ratio
from control.stats.means import half_width, half_width_one_sided
from control.stats.mixture import mixture_path
from control.stats.one_sample import one_sample_log_e
from control.stats.overdispersion import phi_of
from control.stats.power import fixed_requests
from control.stats.sample_ratio import sample_ratio_log_e
from control.stats.sequences import proportion_interval
from tests.control.stats import uniform_boundaries as oracle
from tests.control.stats.vectors import VECTORS

EXACT = 1e-9
MASSES = 1e-7


def cases(name: str) -> list[Any]:
    return [
        pytest.param(case["input"], case["expected"], id=f"{name}-{i}")
        for i, case in enumerate(VECTORS[name])
    ]


def test_no_vector_is_left_out() -> None:
    """Every name in the file has a test below."""
    assert set(VECTORS) == {
        "block_log_e",
        "harm_mixture_path",
        "affine_increment",
        "z_test",
        "newcombe_ci",
        "wilson_ci95",
        "asymptotic_cs",
        "srm_log_e",
        "bernoulli_cs",
        "confseq_bernoulli_interval",
        "confseq_bounds",
        "one_sample_log_e",
        "overdispersion",
        "overdispersion_",
        "mantel_haenszel",
        "fixed_n",
    }


@pytest.mark.parametrize(("given", "expected"), cases("block_log_e"))
def test_block_log_e(given: dict[str, Any], expected: float) -> None:
    psi = np.array([given["psi"]])

    log_e = given["xc"] * np.log(psi) - log_mgf_exact(
        given["nc"], given["nt"], given["xc"] + given["xt"], psi
    )

    assert log_e[0] == pytest.approx(expected, rel=EXACT)


@pytest.mark.parametrize(("given", "expected"), cases("harm_mixture_path"))
def test_harm_mixture_path(given: dict[str, Any], expected: list[float]) -> None:
    assert mixture_path(given["blocks"]).tolist() == pytest.approx(expected, rel=EXACT)


@pytest.mark.parametrize(("given", "expected"), cases("affine_increment"))
def test_affine_increment(given: dict[str, Any], expected: float) -> None:
    log_e = affine_log_e(
        given["nc"], given["nt"], given["xc"], given["xt"], np.array([given["r"]]), given["m"], given["delta"]
    )

    assert log_e[0] == pytest.approx(expected, rel=EXACT)


@pytest.mark.parametrize(("given", "expected"), cases("z_test"))
def test_z_test_and_wald(given: dict[str, Any], expected: list[float]) -> None:
    table = given["xc"], given["nc"], given["xt"], given["nt"]

    test = z_test(*table)

    assert test is not None
    assert [test.z, test.p, *wald(*table)] == pytest.approx(expected, rel=EXACT)


@pytest.mark.parametrize(("given", "expected"), cases("newcombe_ci"))
def test_newcombe(given: dict[str, Any], expected: list[float]) -> None:
    assert newcombe(given["xc"], given["nc"], given["xt"], given["nt"]) == pytest.approx(expected, rel=EXACT)


@pytest.mark.parametrize(("given", "expected"), cases("wilson_ci95"))
def test_wilson(given: dict[str, Any], expected: list[float]) -> None:
    assert wilson(given["x"], given["n"]) == pytest.approx(expected, rel=EXACT)


@pytest.mark.parametrize(("given", "expected"), cases("asymptotic_cs"))
def test_asymptotic_sequence(given: dict[str, Any], expected: list[float]) -> None:
    arguments = given["s2"], given["n"], given["alpha"], given["nstar"]

    assert [half_width(*arguments), half_width_one_sided(*arguments)] == pytest.approx(expected, rel=EXACT)


@pytest.mark.parametrize(("given", "expected"), cases("srm_log_e"))
def test_sample_ratio(given: dict[str, Any], expected: float) -> None:
    log_e = sample_ratio_log_e(given["nc"], given["nt"], given["rho"], given["k"])

    assert log_e == pytest.approx(expected, rel=EXACT)


@pytest.mark.parametrize(("given", "expected"), cases("bernoulli_cs"))
def test_proportion_interval(given: dict[str, Any], expected: list[float]) -> None:
    assert proportion_interval(given["x"], given["n"], given["alpha"]) == pytest.approx(expected, rel=EXACT)


@pytest.mark.parametrize(("given", "expected"), cases("confseq_bernoulli_interval"))
def test_oracle_bernoulli_interval(given: dict[str, Any], expected: list[float]) -> None:
    interval = oracle.bernoulli_interval(given["x"], given["n"], given["alpha"], given["t_opt"])

    assert interval == pytest.approx(expected, rel=MASSES)


ORACLE_CALLS = {
    "normal_mixture_bound(100,.05,100)": lambda: oracle.normal_mixture_bound(100, 0.05, 100),
    "beta_binomial_mixture_bound(100,.05,100,.5,.5)": lambda: oracle.beta_binomial_mixture_bound(
        100, 0.05, 100, 0.5, 0.5
    ),
    "gamma_exponential_mixture_bound(100,.05,100,1)": lambda: oracle.gamma_exponential_mixture_bound(
        100, 0.05, 100, 1
    ),
    "empirical_process_lil_bound(1000,.05,100)": lambda: oracle.empirical_process_lil_bound(1000, 0.05, 100),
    "double_stitching_bound(.99,10000,.05,1000)": lambda: oracle.double_stitching_bound(
        0.99, 10000, 0.05, 1000
    ),
}


@pytest.mark.parametrize("case", VECTORS["confseq_bounds"], ids=lambda case: str(case["call"]))
def test_oracle_bounds(case: dict[str, Any]) -> None:
    assert ORACLE_CALLS[case["call"]]() == pytest.approx(case["expected"], rel=EXACT)


@pytest.mark.parametrize(("given", "expected"), cases("one_sample_log_e"))
def test_one_sample(given: dict[str, Any], expected: float) -> None:
    assert one_sample_log_e(given["n"], given["x"], given["p0"]) == pytest.approx(expected, rel=EXACT)


def test_overdispersion() -> None:
    given = VECTORS["overdispersion"][0]["input"]

    ratio = phi_of(np.array([given["group_n"]]), np.array([given["group_x"]]))

    assert ratio == pytest.approx(VECTORS["overdispersion"][0]["expected"], rel=EXACT)
    assert ratio == pytest.approx(VECTORS["overdispersion_"][0]["expected"], rel=EXACT)


@pytest.mark.parametrize(("given", "expected"), cases("mantel_haenszel"))
def test_mantel_haenszel(given: dict[str, Any], expected: dict[str, float]) -> None:
    tally = Tally()
    for block in given["blocks"]:
        tally = tally.add(*block)

    assert risk_ratio(given["blocks"]) == pytest.approx(expected["riskratio_pooled"], rel=EXACT)
    assert tally.ratio == pytest.approx(expected["riskratio_pooled"], rel=EXACT)
    assert odds_ratio(given["blocks"]) == pytest.approx(expected["oddsratio_pooled"], rel=EXACT)


@pytest.mark.parametrize(("given", "expected"), cases("fixed_n"))
def test_fixed_sample_size(given: dict[str, Any], expected: float) -> None:
    requests = fixed_requests(given["p0"], given["p1"], given["ratio"], given["alpha"], given["power"])

    assert requests == pytest.approx(expected, rel=EXACT)
