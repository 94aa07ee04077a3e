"""Whether a configuration allows what it asks for: to look into bodies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from proxy.keys import parse_key
from proxy.splits.spec import SplitSpec

if TYPE_CHECKING:
    from config.load import Loaded
    from config.problems import Problem


def check_body(loaded: Loaded, path: tuple[str | int, ...], spec: SplitSpec) -> Iterator[Problem]:
    """Problems of a split whose keys, or whose upstreams, look into bodies."""
    for number, key in enumerate(spec.key):
        if parse_key(key).needs_body and loaded.config.limits.inspect_bytes == 0:
            yield loaded.problem(
                (*path, number) if len(spec.key) > 1 else path,
                f"{key} looks into the body, which limits.inspect_bytes 0 forbids",
                "raise limits.inspect_bytes, or use another key",
            )
    for name in spec.upstreams:
        rewrite = loaded.config.upstreams[name].rewrite
        if rewrite is not None and rewrite.model and loaded.config.limits.inspect_bytes == 0:
            yield loaded.problem(
                ("upstreams", name, "rewrite", "model"),
                "stands in bodies, into which limits.inspect_bytes 0 forbids to look",
                "raise limits.inspect_bytes, or leave it out",
            )
