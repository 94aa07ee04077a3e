"""The part of the schema that says which requests are copied to a shadow, and how answers are compared."""

from __future__ import annotations

import re
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from config.base import Fault, Model, as_tuple, refuse, repeated
from config.fields import (
    Duration,
    Fraction,
    HeaderName,
    Method,
    Name,
    OptionalHeaderName,
    PositiveDuration,
    Size,
    Text,
    Weight,
)
from config.values import InvalidValueError

# Copies of one request; each has its own connections and budget.
SHADOWS_MAX = 8


_ESCAPE = re.compile(r"~(?![01])")


def _json_path(value: str) -> str:
    if not value.startswith("/") or len(value) > 512:
        raise InvalidValueError.about(
            value, "is not a path into an answer", "write one such as /outputs/*/data"
        )
    if _ESCAPE.search(value):
        raise InvalidValueError.about(value, "has a ~ that stands for nothing", "write ~0 for ~ and ~1 for /")
    return value


JsonPath = Annotated[Text, AfterValidator(_json_path)]
"""A JSON pointer (RFC 6901) in which * stands for any one step."""
_Paths = Annotated[tuple[JsonPath, ...], BeforeValidator(as_tuple), Field(max_length=100)]


class ShadowLimits(Model):
    """What a shadow may cost each worker; what exceeds it is skipped and counted."""

    memory: Annotated[Size, Field(ge=65536)] = 16777216
    """Bytes held for copies and for answers that are to be compared."""
    in_flight: Annotated[int, Field(ge=1, le=10000)] = 64
    """Copies under way at once."""
    deadline: PositiveDuration = 10.0
    """The longest a copy may take, from its sending to the end of its answer."""
    body: Size = 1048576
    """The largest request body that is copied."""
    answer: Size = 16777216
    """The most of an answer that is read; a longer one is cut off."""
    lag: Duration = 0.05
    """Lateness of the worker at which copying pauses for a second; 0 = never."""


class ShadowHeaders(Model):
    """What a copy's header differs in from the request."""

    marker: OptionalHeaderName = "x-headgate-shadow"
    """Set to 1 in every copy, so that the shadow need not act on it; empty = not sent."""
    remove: Annotated[tuple[HeaderName, ...], BeforeValidator(as_tuple), Field(max_length=32)] = ()
    """Left out of copies, for example `[authorization, cookie]`."""

    @model_validator(mode="after")
    def _copyable(self) -> Self:
        framing = ("host", "content-length", "transfer-encoding")
        faults = [
            Fault(
                path=("remove", i),
                problem=f"a request is not a request without {name}",
                remedy="leave it in",
            )
            for i, name in enumerate(self.remove)
            if name in framing
        ]
        if self.marker in framing:
            faults.append(
                Fault(path=("marker",), problem="has a meaning of its own", remedy="choose another")
            )
        refuse("headers", faults + repeated("remove", self.remove))
        return self


class JsonRules(Model):
    """How JSON answers are compared, field by field."""

    ignore: _Paths = ()
    """Paths that are not looked at, besides those of `defaults`."""
    tolerance: Annotated[float, Field(ge=0, le=1)] = 1e-6
    """Relative difference of two numbers that counts as none."""
    absolute: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Absolute difference of two numbers that counts as none; either of the two suffices."""
    unordered: _Paths = ()
    """Lists whose order means nothing."""
    renamed: Annotated[dict[JsonPath, Name], Field(max_length=100)] = Field(default_factory=dict)
    """Fields of the primary's answer that the shadow calls otherwise: path to new name."""
    defaults: bool = True
    """Also leave out what differs in any two answers of KServe v2 and OpenAI servers: ids, times, usage."""


class LabelRules(Model):
    """Compares the class with the highest score instead of the scores."""

    path: JsonPath
    """The list of scores, for example `/outputs/0/data`."""


class EmbeddingRules(Model):
    """Compares lists of numbers by the angle between them."""

    path: JsonPath
    """The vectors, for example `/data/*/embedding`."""
    cosine: Annotated[float, Field(gt=0, le=1)] = 0.999
    """The least cosine that counts as agreement."""


class TextRules(Model):
    """Compares texts by how alike they are, after case and spaces are evened out."""

    path: JsonPath
    """The texts, for example `/choices/*/message/content`."""
    similarity: Annotated[float, Field(gt=0, le=1)] = 0.9
    """The least likeness that counts as agreement: 1 - edits / length of the longer."""


class SampleRules(Model):
    """Examples of disagreement that are kept to be looked at."""

    count: Annotated[int, Field(ge=0, le=100)] = 10
    """The most that are kept for a shadow; 0 = none."""
    bodies: bool = False
    """Keep values of the answers too; without it only paths and kinds of difference are kept."""


class Compare(Model):
    """How two answers to one request are compared. It happens in a process of its own."""

    share: Fraction = 1.0
    """Share of the copies that are compared; 0% = only copy."""
    capture: Annotated[Size, Field(le=67108864)] = 262144
    """The largest answer that is compared, of each side."""
    status: bool = True
    """Whether status codes must be equal."""
    headers: Annotated[tuple[HeaderName, ...], BeforeValidator(as_tuple), Field(max_length=32)] = ()
    """Header fields that must be equal."""
    json_: Annotated[JsonRules, Field(alias="json")] = JsonRules()
    """Rules for JSON answers and event streams."""
    labels: Annotated[tuple[LabelRules, ...], BeforeValidator(as_tuple), Field(max_length=16)] = ()
    """Scores of which only the highest matters."""
    embeddings: Annotated[tuple[EmbeddingRules, ...], BeforeValidator(as_tuple), Field(max_length=16)] = ()
    """Vectors that are compared by cosine."""
    texts: Annotated[tuple[TextRules, ...], BeforeValidator(as_tuple), Field(max_length=16)] = ()
    """Texts that need not be equal letter by letter."""
    samples: SampleRules = SampleRules()
    """Examples that are kept."""

    @model_validator(mode="after")
    def _one_rule_a_path(self) -> Self:
        """Two rules for one path leave open which of them holds."""
        ruled: dict[str, str] = dict.fromkeys(self.json_.ignore, "json.ignore")
        faults: list[Fault] = []
        for key in ("labels", "embeddings", "texts"):
            for i, rule in enumerate(getattr(self, key)):
                if rule.path in ruled:
                    problem = f"{rule.path} has a rule already, in {ruled[rule.path]}"
                    faults.append(Fault(path=(key, i, "path"), problem=problem, remedy="keep one of them"))
                ruled.setdefault(rule.path, key)
        refuse("compare", faults)
        return self

    @model_serializer(mode="wrap")
    def _as_written(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Pydantic has a method of that name, so the field cannot have it.
        return {key.rstrip("_"): value for key, value in handler(self).items()}


class Shadow(Model):
    """A version that gets copies of a route's requests, and whose answers are only compared."""

    upstream: Name
    """Where copies go."""
    name: Name | None = None
    """Names the shadow in commands, metrics and steps; left out = its upstream."""
    share: Weight = 1.0
    """Share of the requests that are copied."""
    key: Annotated[tuple[Text, ...], BeforeValidator(as_tuple), Field(max_length=8)] = ()
    """Where the key comes from by which the share is drawn; left out = each request by itself."""
    salt: Text = ""
    """Makes the draw by key independent of others; empty = made from route and name."""
    methods: Annotated[tuple[Method, ...], BeforeValidator(as_tuple), Field(max_length=32)] = ("POST",)
    """Methods that are copied; none = every one."""
    noise: Fraction = 0.0
    """Share of the requests also copied to the version that answers them, to see how often it differs."""
    limits: ShadowLimits = ShadowLimits()
    """What it may cost."""
    headers: ShadowHeaders = ShadowHeaders()
    """What copies' headers differ in."""
    compare: Compare = Compare()
    """How answers are compared."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        faults = repeated("methods", self.methods) + repeated("key", self.key)
        if self.compare.share > 0 and self.compare.capture > self.limits.answer:
            problem = f"{self.compare.capture} bytes are never there: limits.answer is {self.limits.answer}"
            remedy = "raise limits.answer, or capture less"
            faults.append(Fault(path=("compare", "capture"), problem=problem, remedy=remedy))
        refuse("shadow", faults)
        return self

    @property
    def label(self) -> str:
        """What the shadow is called."""
        return self.name or self.upstream


Shadows = Annotated[tuple[Shadow, ...], BeforeValidator(as_tuple), Field(max_length=SHADOWS_MAX)]
