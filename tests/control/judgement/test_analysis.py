"""From evidence to one verdict: combination, blame, breakers, holds, and what must still be waited for."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from control.guardrails.finding import Verdict
from control.judgement.analysis import Analysis
from tests.control.feeding import Feeder

RISE = {"kind": "error_rate_rise"}
QUICK = {"burst": 0, "alpha": 0.01, "alpha_promote": 0.05}


def feeder(*guardrails: dict[str, Any], **changes: Any) -> Feeder:
    return Feeder({**QUICK, "guardrails": list(guardrails), **changes})


def test_harm_fails_and_names_its_culprit() -> None:
    """The reason has the numbers, the threshold and the combined e-value."""
    watched = feeder(RISE, {"kind": "latency_ratio"})
    for _ in range(40):
        watched.tick(50, 50, 5, 1)

    analysis = watched.analyse()

    assert analysis.verdict is Verdict.FAIL
    assert analysis.culprits == ("error_rate_rise",)
    assert analysis.threshold == 100.0
    assert analysis.log_e >= math.log(100)
    assert analysis.anytime_p <= 0.01
    assert "canary failed 200 of 2000 (10.0 %), control 40 of 2000 (2.00 %)" in analysis.reason
    assert "limit 100" in analysis.reason


def test_weights_of_enforced_guardrails_add_up_to_one() -> None:
    """By family, whatever their number; the others have none."""
    watched = feeder(
        RISE,
        {"kind": "error_rate", "max": "5%"},
        {"kind": "latency_ratio"},
        {"kind": "first_byte_ratio", "mode": "warn"},
        {"kind": "sample_ratio"},
    )

    weights = watched.view().weights()

    assert weights == pytest.approx([0.3125, 0.3125, 0.375, 0.0, 0.0])


def test_several_weak_signs_together_may_be_enough() -> None:
    """No guardrail alone reaches the threshold, but their weighted mean does: nobody is blamed alone."""
    watched = feeder(RISE, {"kind": "latency_ratio", "quantiles": ["p50"], "max": 1})
    analysis = watched.analyse()
    for _ in range(200):
        watched.canary.serve(50, 2, slow=22)
        watched.control.serve(50, 1, slow=18)
        watched.report()
        analysis = watched.analyse()
        if analysis.verdict is Verdict.FAIL:
            break

    alone = [math.log(f.weight) + f.log_e >= math.log(100) for f in analysis.findings]
    assert analysis.verdict is Verdict.FAIL
    assert analysis.culprits == (("combined",) if not any(alone) else analysis.culprits)
    assert ("combined" in analysis.culprits) == (not any(alone))


def test_combined_harm_is_said_to_be_combined() -> None:
    """Two guardrails of equal evidence that need each other."""
    watched = feeder(RISE, {"kind": "error_rate", "max": "1%"})
    analysis = watched.analyse()
    for _ in range(400):
        watched.tick(10, 10, 1, 0)
        analysis = watched.analyse()
        if analysis.verdict is Verdict.FAIL:
            break

    assert analysis.verdict is Verdict.FAIL
    if analysis.culprits == ("combined",):
        assert "all together show harm" in analysis.reason
    else:
        assert all(finding.blamed for finding in analysis.findings if finding.name in analysis.culprits)


@pytest.mark.parametrize("mode", ["warn", "dry_run"])
def test_what_is_not_enforced_decides_nothing(mode: str) -> None:
    """It is judged as if it were alone, and shown."""
    watched = feeder({**RISE, "mode": mode})
    for _ in range(40):
        watched.tick(50, 50, 10, 1)

    analysis = watched.analyse()

    assert analysis.findings[0].verdict is Verdict.FAIL
    assert (analysis.verdict, analysis.unjudged) == (Verdict.NO_DATA, True)
    assert analysis.log_e == 0.0
    assert analysis.reason.startswith("nothing is judged, as no guardrail that judges the canary is enforced")
    assert f"not enforced: {analysis.findings[0].reason}" in analysis.reason
    assert Analysis.from_json(analysis.to_json()) == analysis


def test_nothing_seen_is_no_data_whatever_is_enforced() -> None:
    """With and without guardrails, before the first request and without control."""
    for watched in (feeder(RISE), feeder(), feeder({**RISE, "mode": "warn"})):
        assert watched.analyse().verdict is Verdict.NO_DATA
    alone = feeder(RISE)
    alone.tick(100, 0)

    assert alone.analyse().verdict is Verdict.NO_DATA


def test_one_guardrail_without_data_beside_one_that_has_some_is_undecided() -> None:
    """There is something to judge by, and what it says is told first."""
    watched = feeder({"kind": "latency_ratio"}, RISE)
    watched.tick(20, 20, 1, 0)

    analysis = watched.analyse()

    assert [finding.verdict for finding in analysis.findings] == [Verdict.NO_DATA, Verdict.INCONCLUSIVE]
    assert analysis.verdict is Verdict.INCONCLUSIVE
    assert analysis.reason.startswith("error_rate_rise: canary failed 1 of 20")
    assert "too few answers yet to know control's p99" in analysis.reason


def test_a_step_without_requests_never_passes() -> None:
    """Whatever the steps before have shown: a night without traffic widens nothing."""
    watched = feeder(RISE)
    for _ in range(60):
        watched.tick(100, 100)
    assert watched.analyse().verdict is Verdict.PASS
    watched.begin("r:1:2")
    for _ in range(60):
        watched.report()

    assert watched.analyse().verdict is Verdict.NO_DATA
    assert watched.analyse().reason == "no canary request has been answered at this step"


def test_an_equal_canary_passes() -> None:
    """After an undecided time, in which it says how much is missing."""
    watched = feeder(RISE)
    watched.tick(100, 100, 1, 1)
    undecided = watched.analyse()
    for _ in range(60):
        watched.tick(100, 100, 0, 0)

    assert undecided.verdict is Verdict.INCONCLUSIVE
    assert undecided.needed is not None
    assert undecided.needed > 0
    assert "more canary requests if it is no worse" in undecided.reason
    assert watched.analyse().verdict is Verdict.PASS
    assert watched.analyse().needed == 0


def test_evidence_of_harm_must_be_gone_before_widening() -> None:
    """Shown to be within the margin, but more suspicious than at the beginning."""
    watched = feeder({**RISE, "promote_rise": "30%"})
    for _ in range(10):
        watched.tick(50, 50, 3, 1)

    analysis = watched.analyse()

    assert analysis.findings[0].verdict is Verdict.PASS
    assert 0.0 < analysis.log_e < math.log(100)
    assert analysis.verdict is Verdict.INCONCLUSIVE
    assert "has not gone yet" in analysis.reason


def test_hanging_requests_do_not_help_to_promote() -> None:
    """They are no failures yet; the step waits for them when control has none."""
    watched = feeder({**RISE, "promote_rise": "20%"})
    for _ in range(20):
        watched.canary.serve(50, hanging=5)
        watched.control.serve(50)
        watched.report()

    analysis = watched.analyse()

    assert analysis.findings[0].verdict is Verdict.PASS
    assert analysis.verdict is Verdict.INCONCLUSIVE
    assert "100 canary requests are in flight" in analysis.reason
    assert analysis.in_flight == (100, 0)


def test_requests_in_flight_at_controls_pace_are_no_reason_to_wait() -> None:
    """Long answers of both arms are usual."""
    watched = feeder({**RISE, "promote_rise": "20%"})
    for second in range(20):
        for arm in (watched.canary, watched.control):
            arm.serve(50, hanging=5 if second > 10 else 0)
        watched.report()

    assert watched.analyse().verdict is Verdict.PASS


def test_a_diverted_canary_does_not_widen() -> None:
    """For half a minute after the last diverted request."""
    watched = feeder({**RISE, "promote_rise": "20%"})
    for _ in range(20):
        watched.tick(50, 50)
    watched.canary.diverted += 7
    watched.tick(50, 50)
    diverted = watched.analyse()
    for _ in range(31):
        watched.tick(50, 50)

    assert diverted.verdict is Verdict.INCONCLUSIVE
    assert "diverted" in diverted.reason
    assert watched.analyse().verdict is Verdict.PASS


def test_a_canary_that_never_worked_is_condemned_quickly() -> None:
    """All of its first requests fail: rolled back a sixth of the burst later, though bursts are survived."""
    watched = Feeder({"guardrails": [RISE]})
    seconds = 0
    while watched.analyse().verdict is not Verdict.FAIL and seconds < 60:
        watched.tick(10, 10, 10, 0)
        seconds += 1
    analysis = watched.analyse()

    assert 10 <= seconds <= 13
    assert analysis.culprits == ("breaker",)
    assert "answered none of its requests well" in analysis.reason


def test_a_canary_that_never_worked_needs_fourteen_failures() -> None:
    """A few failures of a canary that is just starting are not enough, however long ago."""
    watched = Feeder({"guardrails": [RISE]})
    for _ in range(13):
        watched.tick(1, 10, 1, 0, seconds=3.0)

    assert watched.analyse().verdict is not Verdict.FAIL


def test_a_fault_both_arms_share_is_no_reason_for_the_breaker() -> None:
    """Control fails as well: hold, neither roll back nor widen, and go on when it is over."""
    watched = Feeder({"guardrails": [RISE]})
    for _ in range(120):
        watched.tick(10, 10, 10, 10)
    shared = watched.analyse()
    for _ in range(60):
        watched.tick(10, 10)

    assert shared.verdict is not Verdict.FAIL
    assert shared.hold_code == "control"
    assert "control itself fails now (100.0 % of its last requests)" in shared.hold
    assert watched.analyse().hold == ""


def test_without_control_traffic_a_breaker_watches() -> None:
    """A route whose stable version gets nothing: more than half failing is enough, after a burst's time."""
    watched = Feeder({"guardrails": [RISE]})
    for _ in range(30):
        watched.tick(10, 0)
    seconds = 0
    while watched.analyse().verdict is not Verdict.FAIL and seconds < 300:
        watched.tick(10, 0, 9, 0)
        seconds += 1
    analysis = watched.analyse()

    assert analysis.culprits == ("breaker",)
    assert "no control traffic" in analysis.reason
    assert 60 <= seconds <= 180


def test_min_requests_hold_guardrails_back_but_not_the_breaker() -> None:
    """The older flat form's key does what it says; a dead canary is not waited for."""
    patient = Feeder({**QUICK, "guardrails": [RISE], "min_requests_before_check": 1000})
    for _ in range(20):
        patient.tick(40, 40, 20, 0)
    early = patient.analyse()
    for _ in range(6):
        patient.tick(40, 40, 20, 0)
    dead = Feeder({"guardrails": [RISE], "min_requests_before_check": 1000})
    for _ in range(15):
        dead.tick(10, 10, 10, 0)

    assert early.verdict is Verdict.INCONCLUSIVE
    assert "800 of at least 1000" in early.reason
    assert patient.analyse().verdict is Verdict.FAIL
    assert dead.analyse().culprits == ("breaker",)


def test_a_short_burst_condemns_nobody_and_a_lasting_fault_does() -> None:
    """Half a minute of nine failures in ten on one arm, then health; and the same for five minutes."""
    for seconds, expected in ((30, Verdict.PASS), (300, Verdict.FAIL)):
        watched = Feeder({"guardrails": [{**RISE, "promote_rise": "30%"}]})
        for _ in range(120):
            watched.tick(20, 20)
        worst = Verdict.PASS
        for _ in range(seconds):
            watched.tick(20, 20, 18, 0)
            worst = max(worst, watched.analyse().verdict)
            if worst is Verdict.FAIL:
                break
        for _ in range(200 if expected is Verdict.PASS else 0):
            watched.tick(20, 20)
            worst = max(worst, Verdict.FAIL if watched.analyse().verdict is Verdict.FAIL else worst)

        assert (worst is Verdict.FAIL) == (expected is Verdict.FAIL)


def test_it_keeps_how_requests_ended() -> None:
    """Of the current stage, by arm: a share of failures does not say what kind they are."""
    watched = feeder(RISE)
    watched.tick(n_c=40, n_t=40, x_c=3)

    analysis = watched.analyse()

    assert analysis.outcomes == {"canary": {"ok": 37, "upstream_5xx": 3}, "control": {"ok": 40}}
    assert Analysis.from_json(analysis.to_json()).outcomes == analysis.outcomes
    watched.begin("r:1:2")
    watched.report()
    assert watched.analyse().outcomes is None


def test_what_is_valid_for_one_look_is_labelled() -> None:
    """z-test and intervals of the current stage stand beside the verdict."""
    watched = feeder(RISE)
    watched.tick(500, 9500, 12, 150)

    shown = watched.analyse().one_look

    assert shown is not None
    assert "one look only" in shown["label"]
    assert shown["p"] == pytest.approx(0.15635222544928115)
    assert watched.analyse().step_requests == 500


def test_anytime_p_never_rises() -> None:
    """It is one over the largest e-value so far, also when the evidence fades."""
    watched = feeder(RISE)
    seen = []
    for second in range(60):
        watched.tick(50, 50, 3 if second < 15 else 0, 1)
        seen.append(watched.analyse().anytime_p)

    assert seen == sorted(seen, reverse=True)
    assert watched.analyse().log_e < watched.evidence.log_peak


def test_latency_is_shown_with_intervals() -> None:
    watched = feeder(RISE, {"kind": "latency_ratio", "quantiles": ["p75"]})
    for _ in range(3):
        watched.tick(50, 50)

    latency = watched.analyse().latency

    assert latency is not None
    assert set(latency["total"]["canary"]) == {"p50", "p75", "p95", "p99"}
    value, low, high = latency["total"]["control"]["p50"]
    assert low <= value <= high


def test_analyses_survive_json() -> None:
    """Everything it was made from, to the last bit, without infinities."""
    watched = feeder(
        RISE, {"kind": "latency_ratio"}, {"kind": "sample_ratio"}, {"kind": "error_rate", "max": "1%"}
    )
    for moment in range(30):
        watched.tick(40, 60, moment % 3, 1, share=0.5)
        analysis = watched.analyse()
        data = json.loads(json.dumps(analysis.to_json(), allow_nan=False))

        assert Analysis.from_json(data) == analysis
    empty = feeder(RISE).analyse()
    assert Analysis.from_json(json.loads(json.dumps(empty.to_json(), allow_nan=False))) == empty
