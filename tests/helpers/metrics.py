"""Reading /metrics as scrapers do."""

import asyncio
import shutil
import subprocess
from collections.abc import Callable, Iterable
from typing import Any, cast

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families


def parse_openmetrics(text: bytes) -> list[Metric]:
    """Return the families of an OpenMetrics exposition; ValueError when it breaks the format."""
    parse = cast(Callable[[str], Iterable[Metric]], cast(Any, openmetrics).text_string_to_metric_families)
    return list(parse(text.decode()))


def samples(text: bytes | str) -> dict[str, float]:
    """Return every sample of a text exposition: name{label="value",…} with labels in order, and its value."""
    body = text.decode() if isinstance(text, bytes) else text
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(body):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


async def promtool(*arguments: str, text: str = "") -> str:
    """Run promtool; return what it complains about. Skips the test where it is not installed."""
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not installed")
    ran = await asyncio.to_thread(
        subprocess.run, [program, *arguments], input=text, capture_output=True, text=True, timeout=60
    )
    return ran.stdout + ran.stderr if ran.returncode or ran.stderr else ""
