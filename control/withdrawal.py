"""What becomes of deployments and experiments whose route a configuration has changed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from control.audit.kinds.deployments import DeploymentMoved
from control.audit.kinds.experiments import AbTestCancelled
from control.change import Change
from control.deployments import states as deployment_states
from control.experiments import states as experiment_states
from control.ledger import Ledger

_REASON = "the configuration of its route was changed"


def withdraw(change: Change, ledger: Ledger, stale: Collection[str]) -> None:
    """Note in *change* the end of those deployments and experiments whose ids are *stale*."""
    actor = change.origin.actor
    for deployment in ledger.deployments.values():
        if deployment.id not in stale:
            continue
        gone = replace(deployment, current=False)
        if deployment.status in deployment_states.OPEN:
            gone = gone.moved(deployment_states.Event.CANCEL, actor=actor, reason=_REASON, at=change.wall)
            change.events.append(
                DeploymentMoved(
                    resource_id=gone.id,
                    route=gone.route,
                    strategy=str(gone.strategy),
                    release=gone.release,
                    environment=gone.environment,
                    reason=_REASON,
                    from_status=deployment.status.name.lower(),
                    to_status=gone.status.name.lower(),
                )
            )
        change.deployments[gone.id] = gone
    for experiment in ledger.experiments.values():
        if experiment.id not in stale:
            continue
        ended = experiment.moved(experiment_states.Event.CANCEL, actor=actor, reason=_REASON, at=change.wall)
        change.events.append(AbTestCancelled(resource_id=ended.id, route=ended.route, reason=_REASON))
        change.experiments[ended.id] = ended
