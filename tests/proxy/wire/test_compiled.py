"""The compiled form passes the same tests."""

import shutil
import sys
from pathlib import Path

import pytest

from tests.proxy.wire.compiled import build, run_tests


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
@pytest.mark.skipif(sys.implementation.name != "cpython", reason="mypyc is for CPython")
def test_wire_passes_its_tests_compiled(tmp_path: Path) -> None:
    """mypyc compiles the wire as it is, and every test of this folder passes on the result."""
    build(tmp_path)

    assert run_tests(tmp_path) == 0
