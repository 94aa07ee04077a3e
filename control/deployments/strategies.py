"""The five strategies: what each puts over the configuration, and what it does next. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from config.counted import counted
from control.deployments.deployment import Deployment, Strategy
from control.deployments.health import Health, Probes, ready
from control.deployments.states import Event, Status
from control.guardrails.finding import Verdict
from control.overlay import Overlay
from control.rollout.machine import State
from control.shadows.gate import ShadowFinding

WARMING: Final = "warming"
"""The release stands by and is probed; it has no requests."""
SERVING: Final = "serving"
"""It has the requests and is observed."""
RAMPING: Final = "ramping"
"""A rollout gives it more and more of them."""
MIRRORING: Final = "mirroring"
"""It gets copies, and its answers go nowhere."""

ROLLOUT: Final = "rollout"
"""What has moved a deployment that follows one: the verdict was the rollout's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a strategy may look at. `now` in steady seconds."""

    now: float
    probes: Mapping[str, Probes] = field(default_factory=dict)
    """By endpoint of the release."""
    shadow: ShadowFinding | None = None
    """What the answers to copies have shown, where that is asked for."""
    rollout: State | None = None
    """Where the rollout of its route stands, if that is about this deployment."""
    rollout_reason: str = ""
    paused_by: str = ""
    actor: str = "controller"


@dataclass(frozen=True, slots=True, kw_only=True)
class Next:
    """What a deployment does now: an event, or another phase, or nothing."""

    event: Event | None = None
    phase: str = ""
    reason: str = ""
    trigger: str = ""


NOTHING: Final = Next()

_FOLLOWED: Final[Mapping[State, tuple[Status, Event]]] = {
    State.PAUSED: (Status.PAUSED, Event.PAUSE),
    State.PROGRESSING: (Status.IN_PROGRESS, Event.RESUME),
    State.PROMOTED: (Status.ACTIVE, Event.COMPLETE),
    State.ROLLED_BACK: (Status.ROLLED_BACK, Event.ROLL_BACK),
    State.ABORTED: (Status.CANCELLED, Event.CANCEL),
    State.EXPIRED: (Status.INCONCLUSIVE, Event.STALL),
    State.SUPERSEDED: (Status.CANCELLED, Event.CANCEL),
}


def first_phase(strategy: Strategy) -> str:
    """Where a deployment begins."""
    match strategy:
        case Strategy.DIRECT:
            return SERVING
        case Strategy.BLUE_GREEN:
            return WARMING
        case Strategy.SHADOW:
            return MIRRORING
        case Strategy.CANARY | Strategy.ROLLING:
            return RAMPING


def next_of(deployment: Deployment, seen: Seen) -> Next:
    """What *deployment* does, given what is seen; only one that is in progress does anything by itself."""
    if deployment.strategy in (Strategy.CANARY, Strategy.ROLLING):
        return _follow(deployment, seen)
    if deployment.status is Status.PENDING:
        return Next(event=Event.BEGIN, phase=first_phase(deployment.strategy), reason="the deployment begins")
    if deployment.status is not Status.IN_PROGRESS:
        return NOTHING
    return _STEPS[deployment.strategy](deployment, seen)


def _warm(deployment: Deployment, seen: Seen) -> Next:
    """Give the release its requests once every endpoint is up; fail it when that takes too long."""
    if ready(seen.probes):
        return Next(
            phase=SERVING, reason=f"probes are answered by all of {counted(len(seen.probes), 'endpoint')}"
        )
    if seen.now - deployment.phase_since < deployment.settings.expiry_s:
        return NOTHING
    return Next(
        event=Event.FAIL, reason=f"never fit for requests: {deployment.health_text}", trigger="health"
    )


def _serve(deployment: Deployment, seen: Seen) -> Next:
    """Take the requests back when the release is unhealthy; be done when it was healthy for long enough."""
    settings, lasted = deployment.settings, seen.now - deployment.phase_since
    if deployment.health is Health.UNHEALTHY:
        return Next(event=Event.ROLL_BACK, reason=deployment.health_text, trigger="health")
    if lasted >= settings.duration_s and deployment.health is Health.HEALTHY and _answered(deployment):
        return Next(event=Event.COMPLETE, reason=f"healthy for {lasted:.0f} s: {deployment.health_text}")
    if lasted >= settings.expiry_s:
        why = deployment.health_text if _answered(deployment) else "no request has been answered"
        return Next(event=Event.STALL, reason=f"undecided after {lasted:.0f} s: {why}")
    return NOTHING


def _swap(deployment: Deployment, seen: Seen) -> Next:
    return _warm(deployment, seen) if deployment.phase == WARMING else _serve(deployment, seen)


def _mirror(deployment: Deployment, seen: Seen) -> Next:
    """Users are never touched, so nothing has to be taken back: it is done, or it is not fit."""
    settings, lasted = deployment.settings, seen.now - deployment.phase_since
    if deployment.health is Health.UNHEALTHY:
        return Next(event=Event.FAIL, reason=deployment.health_text, trigger="health")
    shown = seen.shadow
    if shown is not None and shown.verdict is Verdict.FAIL:
        return Next(event=Event.FAIL, reason=shown.reason, trigger="shadow")
    text = deployment.health_text if shown is None else shown.reason
    enough = lasted >= settings.duration_s if shown is None else shown.verdict is Verdict.PASS
    if enough and deployment.health is Health.HEALTHY:
        return Next(event=Event.COMPLETE, reason=f"mirrored for {lasted:.0f} s: {text}")
    if lasted >= settings.expiry_s:
        return Next(event=Event.STALL, reason=f"undecided after {lasted:.0f} s: {text}")
    return NOTHING


_STEPS: Final[Mapping[Strategy, Callable[[Deployment, Seen], Next]]] = {
    Strategy.DIRECT: _serve,
    Strategy.BLUE_GREEN: _swap,
    Strategy.SHADOW: _mirror,
}


def _answered(deployment: Deployment) -> bool:
    return deployment.now is not None and deployment.now.requests > 0


def _follow(deployment: Deployment, seen: Seen) -> Next:
    """Be what the rollout is."""
    if deployment.status is Status.PENDING:
        return Next(event=Event.BEGIN, phase=RAMPING, reason="the rollout takes over")
    if seen.rollout is None or seen.rollout not in _FOLLOWED:
        return NOTHING
    status, event = _FOLLOWED[seen.rollout]
    if deployment.status is status or deployment.finished:
        return NOTHING
    if deployment.status is Status.ACTIVE and event is not Event.ROLL_BACK:
        return NOTHING
    return Next(event=event, reason=seen.rollout_reason, trigger=ROLLOUT)


def condemns(deployment: Deployment, step: Next) -> bool:
    """Whether a step is the verdict on a release that no rollout has given.

    A rollback is one, whoever asks for it, and however the release was brought in; a shadow has had no
    request that could be taken back.
    """
    verdict = step.event is Event.ROLL_BACK and step.trigger != ROLLOUT
    return verdict and deployment.strategy is not Strategy.SHADOW


def overlay_of(deployment: Deployment) -> Overlay | None:
    """What *deployment* puts over the configuration; None when it leaves it alone."""
    status = deployment.status
    if not deployment.current:
        return None
    back = status in (Status.ROLLED_BACK, Status.CANCELLED, Status.FAILED)
    match deployment.strategy:
        case Strategy.DIRECT:
            serves = deployment.phase == SERVING and not back
            return _over(deployment, _direct(deployment.target if serves else deployment.baseline))
        case Strategy.BLUE_GREEN:
            if back:
                return _over(deployment, _direct(deployment.baseline))
            colours = {
                "kind": "blue_green",
                "blue": deployment.baseline,
                "green": deployment.target,
                "live": "green" if deployment.phase == SERVING else "blue",
                "preview": deployment.settings.preview,
            }
            return _over(deployment, colours)
        case Strategy.SHADOW:
            mirrors = deployment.phase == MIRRORING and not back and status is not Status.PENDING
            settings = deployment.settings
            shadow = {"upstream": deployment.target, "share": settings.share, "noise": settings.noise}
            made = _over(deployment, _direct(deployment.baseline))
            return replace(made, shadows=(shadow,)) if mirrors else made
        case Strategy.CANARY | Strategy.ROLLING:
            split: dict[str, Any] = {
                "kind": str(deployment.strategy),
                "stable": deployment.baseline,
                "canary": deployment.target,
                "key": list(deployment.settings.key),
            }
            return replace(_over(deployment, split), rollout=deployment.settings.rollout)


def _over(deployment: Deployment, split: Mapping[str, Any]) -> Overlay:
    return Overlay(
        route=deployment.route,
        base=deployment.base,
        owner=deployment.id,
        split=split,
        upstreams=deployment.upstreams,
    )


def _direct(upstream: str) -> dict[str, Any]:
    return {"kind": "direct", "upstream": upstream}
