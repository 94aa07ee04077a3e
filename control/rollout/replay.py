"""Computes a stored decision again, from what was stored with it, also with other settings. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from config.rollouts import Rollout
from control.audit.canonical import canonical
from control.judgement.analysis import Analysis, Evidence, analyse
from control.plans.plan import RolloutPlan

# What shapes the evidence while it is gathered: other values would have gathered another one.
_GATHERED: Final = frozenset({"burst", "interval", "check_interval_seconds"})


class ReplayError(ValueError):
    """A decision that cannot be computed again; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One figure that came out otherwise; None stands for a figure that is not there."""

    what: str
    stored: object
    replayed: object

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"what": self.what, "stored": self.stored, "replayed": self.replayed}


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """A decision beside what comes out of it now. Analyses are plain JSON, as decisions keep them."""

    decision: str
    kind: str
    settings: Mapping[str, Any]
    """What was set otherwise."""
    stored: Mapping[str, Any]
    analysis: Mapping[str, Any]
    differences: tuple[Difference, ...]
    missing: tuple[str, ...]
    """Guardrails that the evidence does not suffice for, as other margins need other bets."""
    caveats: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Whether every figure came out as it was stored."""
        return not self.differences

    @property
    def verdict_changed(self) -> bool:
        """Whether the verdict is another one."""
        return bool(self.stored["verdict"] != self.analysis["verdict"])

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "decision": self.decision,
            "kind": self.kind,
            "settings": dict(self.settings),
            "same": self.same,
            "verdict_changed": self.verdict_changed,
            "stored": dict(self.stored),
            "replayed": dict(self.analysis),
            "differences": [difference.to_json() for difference in self.differences],
            "missing": list(self.missing),
            "caveats": list(self.caveats),
        }


def replay(decision: Mapping[str, Any], settings: Mapping[str, Any] | None = None) -> Replay:
    """Compute *decision*, as `GET /v1/decisions/{id}` gives it, again.

    Args:
        settings: values of the rollout's section to set otherwise, by dotted path; a guardrail is named by
        its name: ``{"alpha": 0.05, "guardrails.error_rate.max": "2%"}``.

    Raises:
        ReplayError: nothing was computed for it, or a setting is not one.
        PlanError: a setting has a value that no plan can be made of.
    """
    settings = settings or {}
    stored, kept = decision.get("analysis"), decision.get("evidence")
    if not stored or not kept:
        raise ReplayError(
            f"decision {decision.get('id')} was made by a person or by the clock, from no figures"
        )
    source = _with(decision.get("plan_source") or {}, settings)
    plan = RolloutPlan.from_config(source, sticky=bool(decision["plan"]["sticky"]))
    evidence = Evidence.from_json(kept)
    analysis = _plain(analyse(evidence, plan, float(stored["at"]), step=int(decision["from_step"])))
    before = RolloutPlan.from_config(decision.get("plan_source"), sticky=plan.sticky)
    # A bet of the plan as it was that is not there had no data; another one was never placed.
    placed = {process.key for process in before.processes}
    missing = tuple(
        guardrail.name
        for guardrail in plan.guardrails
        if any(process.key not in placed for process in guardrail.processes())
    )
    caveats = tuple(
        f"{name} shapes evidence while it is gathered; what is shown is that evidence judged anew"
        for name in sorted(_GATHERED & settings.keys())
    )
    return Replay(
        decision=str(decision["id"]),
        kind=str(decision["kind"]),
        settings=settings,
        stored=stored,
        analysis=analysis,
        differences=tuple(_differences(stored, analysis)),
        missing=missing,
        caveats=caveats,
    )


def _plain(analysis: Analysis) -> dict[str, Any]:
    plain: dict[str, Any] = orjson.loads(canonical(analysis.to_json()))
    return plain


def _differences(stored: Mapping[str, Any], now: Mapping[str, Any]) -> list[Difference]:
    found = [
        Difference(what=name, stored=stored.get(name), replayed=now.get(name))
        for name in ("verdict", "log_e", "threshold", "anytime_p", "hold_code", "culprits", "needed")
        if stored.get(name) != now.get(name)
    ]
    before = {finding["name"]: finding for finding in stored["findings"]}
    after = {finding["name"]: finding for finding in now["findings"]}
    for name in dict.fromkeys([*before, *after]):
        one, other = before.get(name), after.get(name)
        if one is None or other is None:
            found.append(
                Difference(
                    what=name,
                    stored=None if one is None else one["verdict"],
                    replayed=None if other is None else other["verdict"],
                )
            )
            continue
        for figure in ("verdict", "log_e", "log_e_safe", "threshold", "weight", "needed"):
            if one.get(figure) != other.get(figure):
                found.append(
                    Difference(what=f"{name}.{figure}", stored=one.get(figure), replayed=other.get(figure))
                )
    return found


def _with(source: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    changed: dict[str, Any] = orjson.loads(orjson.dumps(dict(source)))
    for path, value in settings.items():
        first, _, rest = path.partition(".")
        if first != "guardrails":
            if rest or not first:
                raise ReplayError(f"{path} is no setting; write alpha=0.05 or guardrails.NAME.max=2%")
            if first not in Rollout.model_fields:
                known = ", ".join(sorted(Rollout.model_fields.keys() - {"guardrails"}))
                raise ReplayError(f"{path} is no setting of a rollout; use one of {known}")
            changed[first] = value
            continue
        name, _, key = rest.partition(".")
        given = changed.get("guardrails") or []
        named = [entry for entry in given if (entry.get("name") or entry.get("kind")) == name]
        if not named or not key:
            names = ", ".join(str(entry.get("name") or entry.get("kind")) for entry in given) or "none is set"
            raise ReplayError(f"{path} is no setting; the guardrails are: {names}")
        named[0][key] = value
    return changed
