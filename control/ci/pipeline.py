"""The pipeline itself: stages, jobs and steps, the same for every platform."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from control.ci import scripts
from control.ci.options import Environment, PipelineOptions


class When(StrEnum):
    """Which runs a job is part of."""

    CHANGE = "change"
    """Every push and every proposed change."""
    RELEASE = "release"
    """A push to a branch from which releases go out."""
    SCHEDULE = "schedule"
    """By the clock."""


class Stage(StrEnum):
    """Groups of jobs, in their order."""

    CHECK = "check"
    VALIDATE = "validate"
    REGISTER = "register"
    RELEASE = "release"
    REPORT = "report"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A piece of shell."""

    name: str
    script: str
    """Lines for `sh -e`; values come in environment variables, never in the text."""
    on_failure: bool = False
    """Runs only when an earlier step of its job failed."""
    control: bool = False
    """Talks to Headgate, so it gets the address and the token; no other step sees them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What runs on one machine."""

    id: str
    title: str
    stage: Stage
    when: When
    steps: tuple[Step, ...]
    needs: tuple[str, ...] = ()
    minutes: int = 30
    environment: Environment | None = None
    variables: dict[str, str] = field(default_factory=dict)
    """Environment variables besides the pipeline's."""
    every_python: bool = False
    """Once for each version of Python."""
    own_packages: bool = True
    """Installs the model's own dependencies and the tools of the checks."""
    headgate: bool = False
    """Installs Headgate's command."""
    gpu: bool = False
    storage: bool = False
    """Reads or writes artifacts, so it gets the credentials of the artifact store."""
    junit: bool = False
    """Leaves JUnit XML in reports/."""

    @property
    def approval(self) -> bool:
        """A person has to say yes before it starts."""
        return self.environment is not None and self.environment.approval


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """All of it."""

    options: PipelineOptions
    headgate: str
    """The requirement that installs Headgate's command."""
    variables: dict[str, str]
    jobs: tuple[Job, ...]

    def of(self, stage: Stage) -> tuple[Job, ...]:
        """The jobs of a stage."""
        return tuple(job for job in self.jobs if job.stage is stage)

    def install(self, job: Job) -> str:
        """The shell that installs what a job needs."""
        return scripts.install(
            self.options.dependencies if job.own_packages else (), self.headgate if job.headgate else None
        )

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages that have jobs."""
        return tuple(stage for stage in Stage if self.of(stage))


def build(options: PipelineOptions, version: str) -> Pipeline:
    """The pipeline for these options; `version` is that of the Headgate which writes it."""
    checks = tuple(_checks(options))
    validate = _validate(options, needs=[job.id for job in checks])
    jobs = [*checks, validate, _register(options)]
    before = ["register"]
    if options.approval_request:
        jobs.append(_request_approval(before))
        before = ["request_approval"]
    for environment in options.environments:
        if environment.shadow:
            jobs.append(_shadow(options, environment, before))
            before = [jobs[-1].id]
        jobs.append(_release(options, environment, before))
        before = [jobs[-1].id]
        if environment.stage is not None:
            jobs.append(_enter_stage(environment, environment.stage, before))
            before = [jobs[-1].id]
    if options.compliance_report:
        jobs.append(_report(options))
    return Pipeline(
        options=options,
        headgate=options.headgate or f"headgate=={version}",
        variables={
            "MODEL_NAME": options.model,
            "ARTIFACT_PATH": options.artifact,
            "METRICS_FILE": options.metrics,
            "VERSION_FILE": options.version_file,
            "REQUIREMENTS_FILE": options.requirements,
        },
        jobs=tuple(jobs),
    )


def _checks(options: PipelineOptions) -> Iterable[Job]:
    tests = options.tests
    for name, title, commands in (
        ("lint", "Lint", tests.lint),
        ("types", "Types", tests.types),
        ("unit", "Unit tests", tests.unit),
        ("integration", "Integration tests", tests.integration),
        ("security", "Security scan", tests.security),
    ):
        if commands:
            yield Job(
                id=name,
                title=title,
                stage=Stage.CHECK,
                when=When.CHANGE,
                steps=(Step(name=title, script=scripts.lines(commands)),),
                every_python=name == "unit",
                gpu=name == "integration",
                junit=name in ("unit", "integration"),
            )


def _validate(options: PipelineOptions, needs: list[str]) -> Job:
    return Job(
        id="validate",
        title="Validate the model",
        stage=Stage.VALIDATE,
        when=When.CHANGE,
        needs=tuple(needs),
        minutes=60,
        steps=(
            *_prepare(options),
            Step(
                name="Validate artifact and metrics",
                script=scripts.validate(options.thresholds, options.compare_with),
                control=options.compare_with is not None,
            ),
        ),
        headgate=True,
        gpu=True,
        junit=True,
    )


def _register(options: PipelineOptions) -> Job:
    return Job(
        id="register",
        title="Register the version",
        stage=Stage.REGISTER,
        when=When.RELEASE,
        needs=("validate",),
        minutes=60,
        steps=(
            *_prepare(options),
            Step(name="Register the version", script=scripts.register(), control=True),
        ),
        own_packages=bool(options.prepare),
        headgate=True,
        storage=True,
    )


def _prepare(options: PipelineOptions) -> tuple[Step, ...]:
    if not options.prepare:
        return ()
    return (Step(name="Prepare the artifact", script=scripts.lines(options.prepare)),)


def _request_approval(needs: list[str]) -> Job:
    return Job(
        id="request_approval",
        title="Ask for approval",
        stage=Stage.REGISTER,
        when=When.RELEASE,
        needs=tuple(needs),
        steps=(Step(name="Ask for approval", script=scripts.request_approval(), control=True),),
        own_packages=False,
        headgate=True,
    )


def _shadow(options: PipelineOptions, environment: Environment, needs: list[str]) -> Job:
    return Job(
        id=f"shadow_{_identifier(environment.name)}",
        title=f"Shadow gate in {environment.name}",
        stage=Stage.RELEASE,
        when=When.RELEASE,
        needs=tuple(needs),
        minutes=_minutes(environment.timeout),
        environment=environment,
        variables=_variables(options, environment),
        steps=(
            *_begin(environment),
            Step(name="Wait for the shadow gate", script=scripts.shadow_gate(), control=True),
        ),
        own_packages=bool(environment.deploy),
        headgate=True,
        junit=True,
    )


def _release(options: PipelineOptions, environment: Environment, needs: list[str]) -> Job:
    # With a shadow gate before it, the rollout has begun there already.
    steps = [] if environment.shadow else [*_begin(environment)]
    steps.append(Step(name="Wait for the decision", script=scripts.gate(), control=True))
    if options.monitoring:
        steps.append(Step(name="Watch it in service", script=scripts.watch(), control=True))
    steps.append(
        Step(name="Send traffic back to stable", script=scripts.roll_back(), on_failure=True, control=True)
    )
    return Job(
        id=f"release_{_identifier(environment.name)}",
        title=f"Release to {environment.name}",
        stage=Stage.RELEASE,
        when=When.RELEASE,
        needs=tuple(needs),
        minutes=_minutes(environment.timeout + options.monitoring),
        environment=environment,
        variables=_variables(options, environment),
        steps=tuple(steps),
        own_packages=bool(environment.deploy) and not environment.shadow,
        headgate=True,
        junit=True,
    )


def _enter_stage(environment: Environment, stage: str, needs: list[str]) -> Job:
    """Apart from the release: an approval that is still missing here must not take a good release back."""
    return Job(
        id=f"stage_{_identifier(environment.name)}",
        title=f"Enter stage {stage}",
        stage=Stage.RELEASE,
        when=When.RELEASE,
        needs=tuple(needs),
        variables={"MODEL_STAGE": stage},
        steps=(Step(name="Enter the stage", script=scripts.enter_stage(), control=True),),
        own_packages=False,
        headgate=True,
    )


def _begin(environment: Environment) -> tuple[Step, ...]:
    """Put the release on its servers, then name it to the route."""
    begin = Step(name="Begin the rollout", script=scripts.begin(), control=True)
    if not environment.deploy:
        return (begin,)
    return (Step(name="Bring it to the model servers", script=scripts.lines(environment.deploy)), begin)


def _report(options: PipelineOptions) -> Job:
    verified: tuple[Step, ...] = ()
    if options.audit_key is not None:
        script = scripts.verify_audit(options.audit_key)
        verified = (Step(name="Verify the audit log", script=script, control=True),)
    return Job(
        id="compliance_report",
        title="Compliance report",
        stage=Stage.REPORT,
        when=When.SCHEDULE,
        steps=(
            *verified,
            Step(name="Write the report", script=scripts.compliance_report(), control=True),
        ),
        own_packages=False,
        headgate=True,
    )


def _variables(options: PipelineOptions, environment: Environment) -> dict[str, str]:
    return {
        "HEADGATE_ENVIRONMENT": environment.name,
        "HEADGATE_ROUTE": options.route(environment),
        "HEADGATE_ALIAS": environment.alias or f"{environment.name}-canary",
        "GATE_TIMEOUT": _seconds(environment.timeout),
        "GATE_ON_UNDECIDED": environment.on_undecided,
        "WATCH_TIME": _seconds(options.monitoring),
    }


def _seconds(value: float) -> str:
    return f"{value:g}s"


def _minutes(seconds: float) -> int:
    """How long a job may take that waits so long; a quarter of an hour for everything around it."""
    return int(seconds // 60) + 15


def _identifier(name: str) -> str:
    """A name as platforms take it for a job."""
    return "".join(letter if letter.isalnum() else "_" for letter in name)
