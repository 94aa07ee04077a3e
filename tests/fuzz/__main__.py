"""`python -m tests.fuzz SECONDS`: every target for its share of the time; 1 when one of them fails."""

from __future__ import annotations

import random
import sys

from tests.fuzz.corpus import corpus
from tests.fuzz.guided import fuzz
from tests.fuzz.targets import TARGETS


def main(arguments: list[str]) -> int:
    """Fuzz, and say with which seed."""
    seconds = float(arguments[0]) if arguments else 300.0
    seed = int(arguments[1]) if len(arguments) > 1 else random.SystemRandom().randrange(1 << 32)
    sys.stdout.write(f"seed {seed}\n")
    for name, target in TARGETS.items():
        tried, reached = fuzz(target, corpus(name), seed, seconds=seconds / len(TARGETS))
        sys.stdout.write(f"{name}: {tried} inputs, {reached} pairs of lines\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
