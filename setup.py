"""Builds the hot path: mypyc compiles the modules below when a C compiler is there.

Without one, or with HEADGATE_PURE=1, the same source runs interpreted. `headgate version` says which it is.
"""

import os
import shutil
import sys
import sysconfig
from typing import Any

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

# Everything a request passes through, in one group, so that calls between these modules are C calls. Modules
# with an `async def` on the hot path, the worker's main loop and what only the agent imports stay interpreted.
HOT_MODULES = """
    wire/grammar wire/fields wire/scan_bytes wire/scan_regex wire/explain wire/head wire/rewrite wire/chunked
    counters exchange timers flow faults histogram forwarding outbound held
    client downstream upstream relay pool divert live
    plain target request settings arms read_arms endpoint balance keys match override table
    splits/base splits/ranges splits/sticky splits/direct splits/random splits/percentage splits/hash
    splits/canary
""".split()


class OptionalBuild(build_ext):
    """Compiles if it can; says in one line when it cannot, and goes on without."""

    def run(self) -> None:
        try:
            super().run()
        except Exception as exc:  # a missing compiler shows itself in many ways
            self.extensions = []
            sys.stderr.write(f"headgate: not compiled ({exc}); the hot path runs interpreted\n")


def extensions() -> list[Extension]:
    """Return the compiled group, or nothing when this build is to be pure."""
    if os.environ.get("HEADGATE_PURE") == "1":
        sys.stderr.write("headgate: HEADGATE_PURE=1, the hot path runs interpreted\n")
        return []
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None and shutil.which("cc") is None:
        sys.stderr.write("headgate: no C compiler found, the hot path runs interpreted\n")
        return []
    try:
        from mypyc.build import mypycify
    except ImportError as exc:
        sys.stderr.write(f"headgate: mypyc is not installed ({exc}), the hot path runs interpreted\n")
        return []
    paths = [f"proxy/{module}.py" for module in HOT_MODULES]
    # The project's own settings for mypy name plugins that the build does without.
    options = ["--config-file=", "--strict", "--ignore-missing-imports"]
    built: Any = mypycify([*options, *paths], opt_level="3", debug_level="0", group_name="headgate_hot")
    return list(built)


setup(ext_modules=extensions(), cmdclass={"build_ext": OptionalBuild})
