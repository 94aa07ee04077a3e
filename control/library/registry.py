"""`ModelRegistry`: releases, aliases and approvals from Python, on the same store as the commands."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from config.load import load_file
from config.problems import ConfigError
from control.errors import InvalidError
from control.library.place import base_of
from control.library.session import Session
from control.registry.approval import Approval, ApprovalState, Comment
from control.registry.artifacts import Artifacts, Progress
from control.registry.live import compared
from control.registry.plans import proposal
from control.registry.registry import Details
from control.registry.release import Draft, Release
from control.registry.shelf import Shelf
from control.store.releases import ReleaseFilter


def _quiet(_: int) -> None:
    return


class ModelRegistry(Session):
    """The registry of one store. References are ``NAME:VERSION`` or ``NAME@ALIAS``.

    Rules (stages, who must agree) are those of the configuration a Headgate on this store runs by, or the
    defaults. *artifacts* overrides where artifacts are kept. Every method raises the typed errors of
    `control.errors`, all of them `HeadgateError`.
    """

    def __init__(
        self, place: str | Path = ".headgate", *, artifacts: str | None = None, actor: str | None = None
    ) -> None:
        super().__init__(place, actor=actor)
        self._shelf = Shelf(self.store, base=base_of(place), place=artifacts)

    def register(
        self,
        name: str,
        version: str,
        artifact: str | Path,
        *,
        metrics: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
        config: Mapping[str, Any] | None = None,
        framework: str = "",
        description: str = "",
        endpoints: Sequence[str] = (),
        parents: Sequence[str] = (),
        dataset: str = "",
        commit: str = "",
        progress: Progress = _quiet,
    ) -> Release:
        """Store a file or directory and register it. *progress* is told each count of bytes dealt with.

        Raises:
            DuplicateError: the version is registered.
            ArtifactError: the artifact cannot be read or stored.
            InvalidError: a field cannot be kept.
        """
        stored = self._artifacts().put(Path(artifact), progress=progress)
        draft = Draft(
            name=name,
            version=version,
            artifact=stored,
            metrics=metrics or {},
            tags=tags or {},
            config=config or {},
            framework=framework,
            description=description,
            uri=str(artifact),
            endpoints=tuple(endpoints),
            parents=tuple(parents),
            dataset=dataset,
            commit=commit,
        )
        return self.run(self._shelf.register(draft, self.origin, verified=True))

    def get(self, reference: str) -> Details:
        """A release with its history, aliases and newest approval; NotFoundError when there is none."""
        return self.run(self._shelf.registry.get(reference))

    def list(
        self,
        name: str | None = None,
        *,
        stage: str | None = None,
        tag: tuple[str, str | None] | None = None,
        metric: tuple[str, str, float] | None = None,
        alias: str | None = None,
        approved: str | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> Sequence[Details]:
        """Releases by name, the newest version first. *metric* is such as ``("auc", ">=", 0.9)``."""
        wanted = ReleaseFilter(name=name, stage=stage, tag=tag, metric=metric, alias=alias, approved=approved)
        return self.run(self._shelf.registry.page(wanted, limit=limit, offset=offset))

    def latest(
        self, name: str, *, stage: str | None = None, approved: bool = False, prereleases: bool = False
    ) -> Details:
        """The release with the highest version; NotFoundError when there is none."""
        found = self._shelf.registry.latest(name, stage=stage, approved=approved, prereleases=prereleases)
        return self.run(found)

    def promote(self, reference: str, stage: str, *, reason: str = "", break_glass: bool = False) -> Release:
        """Move a release to another stage; NotApprovedError, TransitionError when it may not."""
        moved = self._shelf.registry.promote(
            reference, stage, self.origin, reason=reason, break_glass=break_glass
        )
        return self.run(moved)

    def archive(self, reference: str, *, reason: str = "") -> Release:
        """Put a release away."""
        return self.run(self._shelf.registry.archive(reference, self.origin, reason=reason))

    def rollback(self, name: str, *, stage: str = "production", reason: str = "") -> Release:
        """Give a stage back to the release it held before; nobody has to agree."""
        return self.run(self._shelf.registry.rollback(name, self.origin, stage=stage, reason=reason))

    def compare(self, old: str, new: str) -> dict[str, Any]:
        """Two releases side by side, as ``GET /v1/models/{name}/compare`` shows them."""
        return self.run(compared(self._shelf.desk, old, new))

    def lineage(self, reference: str) -> dict[str, Any]:
        """What a release was made from, and what was made from it."""
        return self.run(self._shelf.registry.lineage(reference))

    def set_alias(
        self, name: str, alias: str, version: str, *, reason: str = "", break_glass: bool = False
    ) -> Release:
        """Let an alias stand for another release; routes that use it follow."""
        moved = self._shelf.aliases.move(
            name, alias, version, self.origin, reason=reason, break_glass=break_glass
        )
        return self.run(moved)

    def revert_alias(self, name: str, alias: str, *, reason: str = "") -> Release:
        """Let an alias stand again for what it stood for before."""
        return self.run(self._shelf.aliases.revert(name, alias, self.origin, reason=reason))

    def aliases(self, name: str) -> dict[str, str]:
        """By alias, the release it stands for."""
        found = self.run(self._shelf.aliases.all(name))
        return {each.alias: each.release.label for each in found if each.release is not None}

    def download(self, reference: str, target: str | Path, *, progress: Progress = _quiet) -> Path:
        """Write the artifact to *target*, which must not exist, once all of it is verified."""
        release = self.get(reference).release
        return self._artifacts().fetch(release.artifact, Path(target), progress=progress)

    def verify(self, reference: str, *, progress: Progress = _quiet) -> None:
        """Read the artifact through; ArtifactError when it is not what was registered."""
        self.run(self._shelf.verify(reference, progress=progress))

    def request_approval(
        self,
        reference: str,
        stage: str = "production",
        *,
        justification: str,
        reviewers: Sequence[str] = (),
        quorum: int | None = None,
        config: str | Path | None = None,
    ) -> Approval:
        """Ask for a release to be let into a stage, by the rollout plan in force or that of a *config* file.

        Raises:
            InvalidError: *config* is no configuration, or none with such a plan; or as the stage demands.
        """
        asked = self._shelf.approvals.request(
            reference,
            stage,
            self.origin,
            justification=justification,
            reviewers=reviewers,
            quorum=quorum,
            plan=None if config is None else self._plan(config, reference, stage),
        )
        return self.run(asked)

    def approve(self, approval_id: str, *, reason: str = "") -> Approval:
        """Agree, as this session's actor; ForbiddenError when it is one's own request."""
        voted = self._shelf.approvals.vote(approval_id, self.origin, approves=True, reason=reason)
        return self.run(voted)

    def reject(self, approval_id: str, *, reason: str) -> Approval:
        """Object, which closes the request."""
        voted = self._shelf.approvals.vote(approval_id, self.origin, approves=False, reason=reason)
        return self.run(voted)

    def renew_approval(
        self, approval_id: str, *, justification: str = "", config: str | Path | None = None
    ) -> Approval:
        """Ask again for what has changed since; *config* as in `request_approval`."""
        plan = None
        if config is not None:
            asked = self.approval(approval_id)
            plan = self._plan(config, asked["release"], asked["stage"])
        renewed = self._shelf.approvals.renew(
            approval_id, self.origin, justification=justification, plan=plan
        )
        return self.run(renewed)

    def comment(self, approval_id: str, text: str, *, reply_to: str | None = None) -> Comment:
        """Say something about a request."""
        said = self._shelf.approvals.comment(approval_id, self.origin, text, reply_to=reply_to)
        return self.run(said)

    def approval(self, approval_id: str) -> dict[str, Any]:
        """A request with its votes and comments."""
        return self.run(self._shelf.approvals.get(approval_id))

    def approvals(
        self,
        name: str | None = None,
        *,
        status: str | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> Sequence[dict[str, Any]]:
        """Requests, newest first: all, or those that are `pending`, `approved`, `requires_review`, …

        Raises:
            InvalidError: no request can have this status.
        """
        states = {state.word: state for state in ApprovalState}
        if status is not None and status not in states:
            raise InvalidError(f"status: {status!r} is none", f"use one of {', '.join(states)}")
        state = None if status is None else states[status]
        return self.run(self._shelf.approvals.page(limit=limit, before=before, state=state, name=name))

    def _plan(self, config: str | Path, reference: str, stage: str) -> dict[str, Any]:
        name = self.get(reference).release.name
        try:
            loaded = load_file(config, os.environ)
        except ConfigError as error:
            raise InvalidError(str(error), "headgate check says the same") from error
        return proposal(loaded.config.to_json(), name, stage, str(config))

    def _artifacts(self) -> Artifacts:
        return self.run(self._shelf.artifacts())
