"""Releases come from a real MLflow tracking server, with all it knows of them, and again without harm."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.processes import headgate
from tests.real.environments import executable, execute
from tests.real.servers import free_ports, serving

pytestmark = pytest.mark.real


@pytest.fixture(scope="module", params=["served", "local"])
def tracking(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a tracking server: one that serves artifacts, and one that leaves them on this machine."""
    folder = tmp_path_factory.mktemp("tracking")
    (port,) = free_ports(1)
    command: list[str | Path] = [executable("mlflow", "mlflow"), "server"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    if request.param == "served":
        command += ["--artifacts-destination", str(folder / "artifacts")]
    else:
        command += ["--no-serve-artifacts", "--default-artifact-root", str(folder / "artifacts")]
    # It looks for `uvicorn` on the path.
    environ = {"PATH": f"{executable('mlflow').parent}:/usr/bin:/bin"}
    url = f"http://127.0.0.1:{port}"
    with serving(command, url=url, ready="/health", cwd=folder, environ=environ) as server:
        execute("mlflow", "models/register_versions.py", server, cwd=folder)
        yield server


def command(folder: Path, *arguments: str, code: int = 0) -> Any:
    """What `headgate registry` prints as JSON, on a store that no Headgate runs on."""
    done = headgate("registry", *arguments, "--store", "state", "--actor", "alice", "-o", "json", cwd=folder)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout) if code == 0 else done.stderr


def test_versions_are_imported_once_and_whole(tracking: str, tmp_path: Path) -> None:
    """Figures, tags, description, commit, and every file of the artifact; again, nothing changes."""
    first = command(tmp_path, "import-mlflow", tracking, "fraud", "--version", "1")
    assert [(each["release"], each["imported"]) for each in first] == [("fraud:1", True)]
    again = command(tmp_path, "import-mlflow", tracking, "fraud")
    assert [(each["release"], each["imported"]) for each in again] == [("fraud:1", False), ("fraud:2", True)]
    assert "is registered since" in again[0]["why"]

    release = command(tmp_path, "get", "fraud:2")
    assert release["metrics"] == {"auc": 0.82, "loss": 0.48}
    assert (release["framework"], release["description"]) == ("mlflow", "penalty 10.0")
    assert release["tags"]["team"] == "risk"
    assert release["tags"]["mlflow.run_id"]
    assert release["lineage"]["commit"] == "2" * 40
    assert release["artifact"]["kind"] == "directory"

    command(tmp_path, "verify", "fraud:2")
    command(tmp_path, "download", "fraud:2", "copy")
    files = sorted(path.relative_to(tmp_path / "copy").as_posix() for path in (tmp_path / "copy").rglob("*"))
    assert {"MLmodel", "extra_files/notes 2.txt", "requirements.txt"} <= set(files), files
    assert (tmp_path / "copy" / "extra_files" / "notes 2.txt").read_text("utf-8") == "penalty 10.0, ümlaut\n"
    compared = command(tmp_path, "compare", "fraud", "1", "2")
    assert [(each["metric"], each["verdict"]) for each in compared["metrics"]] == [
        ("auc", "better"),
        ("loss", "better"),
    ]


def test_what_is_not_there_is_an_error_that_names_it(tracking: str, tmp_path: Path) -> None:
    """A model, a version, a server of another kind."""
    assert "no such version of model 'cards'" in command(tmp_path, "import-mlflow", tracking, "cards", code=2)
    assert "no such version of model 'fraud'" in command(
        tmp_path, "import-mlflow", tracking, "fraud", "--version", "9", code=2
    )
    assert "answered 404" in command(tmp_path, "import-mlflow", f"{tracking}/elsewhere", "fraud", code=2)
    (port,) = free_ports(1)
    nobody = command(tmp_path, "import-mlflow", f"http://127.0.0.1:{port}", "fraud", code=2)
    assert "does not answer" in nobody
    assert "check the URL" in nobody
