"""Builds the hot path: mypyc compiles the modules below when it and a C compiler are there.

Without them, or with HEADGATE_PURE=1, the same source runs interpreted. `headgate version` says which it is.
HEADGATE_OPT is the compiler's optimisation level, 0 to 3.
"""

import json
import os
import shutil
import sys
import sysconfig
from importlib.util import source_hash
from pathlib import Path
from typing import Any

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

# What a request passes through, in one group, so that calls between these modules are C calls. Anything that
# is asked once per table, per connection or per failure stays interpreted: it would only cost build time.
# fmt: off
HOT_MODULES = (
    "wire/grammar", "wire/fields", "wire/scan_bytes", "wire/head", "wire/rewrite", "wire/chunked",
    "context", "exchange", "timers", "flow", "histogram", "key_times", "slot_counts", "forwarding",
    "outbound", "inbound", "client", "downstream", "straight", "upstream", "relay", "recording", "retrying",
    "admission", "pool", "divert", "live", "held",
    "request", "arms", "endpoint", "ejection", "balance", "balancers/base", "balancers/round_robin",
    "balancers/least_in_flight", "balancers/consistent_hash", "keys", "match", "override", "table", "target",
    "shadow/cells", "shadow/copy_counts", "shadow/tap", "shadow/heads", "shadow/mirror", "shadow/lane",
    "shadow/connection", "shadow/straight", "shadow/shadows", "shadow/frames", "shadow/feed",
    "splits/base", "splits/layers", "splits/sticky", "splits/canary", "splits/rolling", "splits/hash",
)
# fmt: on
# docs/performance.md: -O3 costs twice the build time of -O1 and is no quicker by any measurement here.
OPT_LEVEL = os.environ.get("HEADGATE_OPT", "1")


class OptionalBuild(build_ext):
    """Compiles if it can; says in one line when it cannot, and goes on without."""

    def run(self) -> None:
        if self.extensions and self.inplace:
            # An empty record, until the build has ended: `proxy.compiled` tells one that never did.
            Path("proxy", "compiled.json").write_text("{}\n")
        try:
            super().run()
        except Exception as exc:  # a missing compiler shows itself in many ways
            self.extensions = []
            Path("proxy", "compiled.json").unlink(missing_ok=True)
            sys.stderr.write(f"headgate: not compiled ({exc}); the hot path runs interpreted\n")
            return
        if self.extensions:
            self._note_sources()

    def _note_sources(self) -> None:
        """Write down what was compiled, so that a worker can tell that its source has changed since."""
        sources = [f"proxy/{module}.py" for module in HOT_MODULES]
        digests = {path: source_hash(Path(path).read_bytes()).hex() for path in sources}
        folder = Path() if self.inplace else Path(self.build_lib)
        (folder / "proxy" / "compiled.json").write_text(json.dumps(digests, indent=1) + "\n")


def extensions() -> list[Extension]:
    """Return the compiled group, or nothing when this build is to be pure."""
    if os.environ.get("HEADGATE_PURE") == "1":
        sys.stderr.write("headgate: HEADGATE_PURE=1, the hot path runs interpreted\n")
        return []
    if not sys.argv[1:] or not {"build_ext", "bdist_wheel", "editable_wheel", "install"} & set(sys.argv[1:]):
        # Asked for metadata or a source distribution: compiling would be a waste.
        return []
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        sys.stderr.write(f"headgate: no C compiler ({compiler}), the hot path runs interpreted\n")
        return []
    try:
        from mypyc.build import mypycify
    except ImportError as exc:
        sys.stderr.write(f"headgate: mypyc is not installed ({exc}), the hot path runs interpreted\n")
        return []
    paths = [f"proxy/{module}.py" for module in HOT_MODULES]
    # The project's own settings for mypy name plugins that the build does without.
    options = ["--config-file=", "--strict", "--ignore-missing-imports"]
    built: Any = mypycify([*options, *paths], opt_level=OPT_LEVEL, debug_level="0", group_name="headgate_hot")
    return list(built)


setup(ext_modules=extensions(), cmdclass={"build_ext": OptionalBuild})
