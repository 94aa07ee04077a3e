"""What can be chosen about a pipeline."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from config.base import Fault, Model, as_tuple, refuse, repeated
from config.fields import Duration, PositiveDuration
from control.ci.values import (
    Branch,
    Command,
    Cron,
    Image,
    ModelName,
    PlainName,
    PythonVersion,
    RepositoryPath,
    Requirement,
    RunnerLabel,
    SecretName,
    Threshold,
)

Commands = Annotated[tuple[Command, ...], BeforeValidator(as_tuple), Field(max_length=20)]


class Tests(Model):
    """Commands of the checks; an empty list leaves that check out."""

    lint: Commands = ("python -m ruff check .", "python -m ruff format --check .")
    types: Commands = ("python -m mypy src",)
    unit: Commands = (
        "python -m pytest tests/unit --cov=src --cov-report=xml:coverage.xml --cov-fail-under=80"
        " --junitxml=reports/unit.xml",
    )
    integration: Commands = ("python -m pytest tests/integration --junitxml=reports/integration.xml",)
    security: Commands = (
        "python -m pip_audit --requirement requirements.txt",
        "python -m bandit -q -r src -ll",
    )


class Environment(Model):
    """One place where a release goes, judged there by the gate."""

    name: PlainName
    route: PlainName | None = None
    """The route in that environment's Headgate; None: named as the model."""
    alias: PlainName | None = None
    """The alias by which that route finds the release it tries: fraud@NAME-canary; None: NAME-canary."""
    stage: PlainName | None = None
    """The registry's stage that a release enters when it has been promoted here; None: none."""
    approval: bool = False
    """A person has to say yes first, by the platform's own means."""
    shadow: bool = False
    """The release is compared on mirrored requests before it gets any of its own."""
    deploy: Commands = ()
    """Bring the release to its model servers before it gets requests."""
    timeout: PositiveDuration = 7200.0
    """How long the gate waits for the decision."""
    on_undecided: Literal["hold", "abort", "rollback"] = "abort"
    """What becomes of a rollout that is undecided by then."""


_STAGING = Environment(name="staging", stage="staging", shadow=True)
_PRODUCTION = Environment(name="production", stage="production", approval=True)


class Oidc(Model):
    """Short-lived credentials for the artifact store, by the identity of the run instead of a stored key."""

    provider: Literal["aws", "azure", "gcp"]
    identity: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9:/@._+=-]{0,254}$")]
    """AWS: ARN of the role. Google: workload identity provider. Azure: client id (GitHub) or service
    connection (Azure Pipelines)."""
    region: Annotated[str, Field(pattern=r"^[a-z]{2,10}(-[a-z0-9]{1,12}){1,3}$")] = "eu-central-1"
    """AWS only."""
    tenant: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{0,64}$")] = ""
    """Azure on GitHub: tenant id."""
    subscription: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{0,64}$")] = ""
    """Azure on GitHub: subscription id."""


class PipelineOptions(Model):
    """Everything that can be chosen; the model's name alone makes a whole pipeline."""

    model: ModelName
    """Name in the registry."""
    python: Annotated[
        tuple[PythonVersion, ...], BeforeValidator(as_tuple), Field(min_length=1, max_length=6)
    ] = ("3.12",)
    """Versions the unit tests run on; everything else runs on the first."""
    requirements: RepositoryPath = "requirements.txt"
    """The model's own dependencies."""
    dependencies: Annotated[tuple[Requirement, ...], BeforeValidator(as_tuple), Field(max_length=50)] = (
        "bandit>=1.8,<2",
        "mypy>=1.15,<3",
        "pip-audit>=2.9,<3",
        "pytest>=8.4,<10",
        "pytest-cov>=6,<8",
        "ruff>=0.11,<1",
    )
    """What the checks need besides."""
    headgate: Requirement | None = None
    """Which Headgate the pipeline's own commands come from; None: the version that writes the pipeline."""
    tests: Tests = Tests()
    artifact: RepositoryPath = "model"
    """File or folder that is registered."""
    metrics: RepositoryPath = "metrics.json"
    """Offline metrics of the artifact, as JSON."""
    version_file: RepositoryPath = "VERSION"
    """A file whose first line is the version to register."""
    prepare: Commands = ()
    """Commands that make or fetch the artifact and its metrics."""
    thresholds: Annotated[tuple[Threshold, ...], BeforeValidator(as_tuple), Field(max_length=50)] = ()
    """Conditions on the offline metrics."""
    compare_with: PlainName | None = "production"
    """Alias or stage of the version that the metrics are compared with; None: no comparison."""
    approval_request: bool = True
    """Ask for approval in Headgate's registry before production."""
    environments: Annotated[
        tuple[Environment, ...], BeforeValidator(as_tuple), Field(min_length=1, max_length=8)
    ] = (_STAGING, _PRODUCTION)
    """In the order in which the release goes through them; the last one is production."""
    monitoring: Duration = 600.0
    """How long a release is watched on after its promotion; 0: not at all."""
    compliance_report: bool = True
    """Write the audit report on a schedule."""
    audit_key: RepositoryPath | None = None
    """Public key of the audit log, kept in the repository: the log is verified with it before the report."""
    schedule: Cron = "17 5 * * 1"
    """When the report is written, UTC."""
    branches: Annotated[tuple[Branch, ...], BeforeValidator(as_tuple), Field(min_length=1, max_length=10)] = (
        "main",
    )
    """Branches from which a release goes out."""
    runner: RunnerLabel | None = None
    """Where jobs run; None: the platform's usual Linux machine."""
    gpu_runner: RunnerLabel | None = None
    """Where integration tests and model validation run; None: as everything else."""
    image: Image | None = None
    """GitLab: the container of the jobs; None: python with its full version."""
    cache: bool = True
    """Keep downloaded packages from run to run."""
    address_secret: SecretName = "HEADGATE_ADMIN"  # noqa: S105 - the name of a secret
    """The secret that holds the admin address."""
    token_secret: SecretName = "HEADGATE_TOKEN"  # noqa: S105 - the name of a secret
    """The secret that holds the admin token; give it the role operator."""
    oidc: Oidc | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        found = repeated("python", self.python) + repeated("branches", self.branches)
        names = [environment.name for environment in self.environments]
        found += [
            Fault(
                path=("environments", i, "name"),
                problem=f"{name} is there twice",
                remedy="give each environment its own name",
            )
            for i, name in enumerate(names)
            if name in names[:i]
        ]
        if self.address_secret == self.token_secret:
            found.append(
                Fault(
                    path=("token_secret",),
                    problem="address and token have one name",
                    remedy="keep them as two secrets",
                )
            )
        refuse("options", found)
        return self

    def route(self, environment: Environment) -> str:
        """The route on which a release is judged there."""
        return environment.route or self.model

    def to_json(self) -> dict[str, Any]:
        """Only what differs from the defaults, so that a file says what was chosen and nothing else."""
        return self.model_dump(mode="json", exclude_defaults=True)
