"""Options from a file and from `--set`, with every mistake named at once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import yaml
from pydantic import ValidationError

from config.problems import dotted
from config.values import InvalidValueError
from control.ci.options import PipelineOptions
from control.errors import InvalidError

_KEY = re.compile(r"[a-z_]+(?:\[\d{1,2}\])?(?:\.[a-z_]+(?:\[\d{1,2}\])?)*")
_PART = re.compile(r"([a-z_]+)|\[(\d{1,2})\]")


class OptionsError(InvalidError):
    """Options that cannot be used; `lines` has one line for each mistake."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


def choose(base: Mapping[str, Any], settings: Iterable[str]) -> PipelineOptions:
    """Options of `base` with `KEY=VALUE` settings on top; a value is read as YAML.

    Args:
        base: from a file, or none.
        settings: such as `python=[3.11, 3.12]` or `environments[1].timeout=4h`; later ones win.

    Raises:
        OptionsError: something is misspelt, of the wrong type or not allowed.
    """
    values: dict[str, Any] = _copy(dict(base))
    wrong = []
    for setting in settings:
        key, separator, text = setting.partition("=")
        if not separator or not _KEY.fullmatch(key):
            wrong.append(f"--set {setting!r} is not KEY=VALUE; write one such as model=fraud")
            continue
        if key.startswith("environments["):
            values.setdefault("environments", _usual_environments())
        try:
            _put(values, key, _value(text))
        except InvalidValueError as error:
            wrong.append(f"--set {key}: {error}")
    if wrong:
        raise OptionsError(wrong)
    return check(values)


def check(values: Mapping[str, Any]) -> PipelineOptions:
    """Plain values as options.

    Raises:
        OptionsError: as `choose`.
    """
    try:
        return PipelineOptions.model_validate(dict(values))
    except ValidationError as error:
        raise OptionsError([_line(detail) for detail in error.errors(include_url=False)]) from None


def _usual_environments() -> list[dict[str, Any]]:
    """So that one of them can be changed without writing down all."""
    usual = PipelineOptions.model_fields["environments"].default
    return [environment.model_dump(mode="json", exclude_defaults=True) for environment in usual]


def _value(text: str) -> Any:
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise InvalidValueError(f"the value cannot be read ({reason})", "put it in quotes") from None
    # 3.10 would be 3.1: versions are what people write them as.
    if isinstance(found, float):
        return text.strip()
    if isinstance(found, list):
        return [str(item) if isinstance(item, float) else item for item in found]
    return found


def _put(values: dict[str, Any], key: str, value: Any) -> None:
    parts = [name or int(index) for name, index in _PART.findall(key)]
    place: Any = values
    for i, part in enumerate(parts):
        last = i == len(parts) - 1
        fresh: Any = value if last else ([] if isinstance(parts[i + 1], int) else {})
        if isinstance(part, int):
            if not isinstance(place, list) or part > len(place):
                raise InvalidValueError(
                    f"there is no entry {part}", "give the list in one piece, or count from 0"
                )
            if part == len(place):
                place.append(fresh)
            elif last:
                place[part] = value
        else:
            if not isinstance(place, dict):
                raise InvalidValueError(f"{part} is not below a mapping", "look at the options in docs/ci.md")
            if last:
                place[part] = value
            else:
                place.setdefault(part, fresh)
        place = place[part]


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, (list, tuple)) else value


def _line(detail: Any) -> str:
    path = dotted([part for part in detail["loc"] if isinstance(part, int) or re.fullmatch(r"[a-z_]+", part)])
    reason = detail.get("ctx", {}).get("error")
    if isinstance(reason, InvalidValueError):
        return f"{path}: {reason}"
    match detail["type"]:
        case "missing":
            return f"{path}: is missing; give it with --set {path}=..."
        case "extra_forbidden":
            known = ", ".join(sorted(PipelineOptions.model_fields))
            return f"{path}: there is no such option; there are {known}"
        case "headgate":
            return f"{path}: {detail['ctx']['problem']}; {detail['ctx']['remedy']}"
    return f"{path}: {detail['msg'][:1].lower()}{detail['msg'][1:]}; look at the options in docs/ci.md"
