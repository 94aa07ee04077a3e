"""Reads registered models off an MLflow tracking server, over its REST API."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import quote, unquote, urlencode, urlsplit
from urllib.request import Request, urlopen

from control.errors import ArtifactError, HeadgateError, InvalidError, NotFoundError

_TIMEOUT_S: Final = 60.0
_CHUNK_BYTES: Final = 1024 * 1024
_DEPTH_MAX: Final = 50


class MlflowError(HeadgateError):
    """The server does not answer, or not as one of MLflow's does."""

    status = 422
    code = "mlflow"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One version of a registered model, as the server describes it."""

    name: str
    version: str
    source: str
    run_id: str
    description: str
    tags: Mapping[str, str]
    metrics: Mapping[str, float]
    commit: str

    @property
    def label(self) -> str:
        return f"{self.name}:{self.version}"

    def body(self) -> dict[str, Any]:
        """The body of a registration, without its artifact."""
        return {
            "name": self.name,
            "version": self.version,
            "framework": "mlflow",
            "description": self.description,
            "uri": self.source,
            "metrics": dict(self.metrics),
            "tags": {**self.tags, "mlflow.run_id": self.run_id},
            "commit": self.commit,
        }


class MlflowServer:
    """A tracking server at *url*; *token* is sent as a bearer token."""

    def __init__(self, url: str, *, token: str | None = None) -> None:
        if urlsplit(url).scheme not in ("http", "https"):
            raise InvalidError(f"{url!r} is no URL of a server", "write http://HOST:PORT")
        self._url = url.rstrip("/")
        self._token = token

    def versions(self, name: str, *, only: Sequence[str] = ()) -> list[Found]:
        """The versions of a registered model, the oldest first.

        Raises:
            NotFoundError: the server has no such model.
            MlflowError: it does not answer as it should.
        """
        clause = f"name='{name}'"
        found: list[dict[str, Any]] = []
        page = ""
        while True:
            query = {"filter": clause, "max_results": "200"} | ({"page_token": page} if page else {})
            answer = self._get("/api/2.0/mlflow/model-versions/search", query)
            found += answer.get("model_versions", [])
            page = answer.get("next_page_token", "")
            if not page:
                break
        wanted = [each for each in found if not only or str(each["version"]) in only]
        if not wanted:
            raise NotFoundError(f"{self._url} has no such version of model {name!r}", "look at its page")
        return [self._found(each) for each in sorted(wanted, key=lambda each: int(each["version"]))]

    @contextmanager
    def fetched(self, found: Found) -> Iterator[Path]:
        """A directory with the artifact of *found*, gone afterwards."""
        with tempfile.TemporaryDirectory(prefix="headgate-mlflow-") as folder:
            target = Path(folder) / "model"
            target.mkdir()
            answer = self._get(
                "/api/2.0/mlflow/model-versions/get-download-uri",
                {"name": found.name, "version": found.version},
            )
            self._fetch(str(answer.get("artifact_uri", "")), found, target)
            yield target

    def _found(self, version: Mapping[str, Any]) -> Found:
        run_id = str(version.get("run_id", ""))
        run: Mapping[str, Any] = {}
        if run_id:
            run = self._get("/api/2.0/mlflow/runs/get", {"run_id": run_id}).get("run", {})
        data = run.get("data", {})
        run_tags = {tag["key"]: tag["value"] for tag in data.get("tags", [])}
        return Found(
            name=str(version["name"]),
            version=str(version["version"]),
            source=str(version.get("source", "")),
            run_id=run_id,
            description=str(version.get("description", "")),
            tags={tag["key"]: tag["value"][:256] for tag in version.get("tags", [])},
            metrics={metric["key"]: float(metric["value"]) for metric in data.get("metrics", [])},
            commit=str(run_tags.get("mlflow.source.git.commit", "")),
        )

    def _fetch(self, uri: str, found: Found, target: Path) -> None:
        parts = urlsplit(uri)
        if parts.scheme == "mlflow-artifacts":
            self._fetch_folder(unquote(parts.path).lstrip("/"), target, 0)
            return
        if parts.scheme in ("", "file"):
            source = Path(unquote(parts.path))
            if not source.is_dir():
                raise ArtifactError(f"{found.label}: {source} is not on this machine", "import it there")
            _copy(source, target)
            return
        raise ArtifactError(
            f"{found.label}: artifacts at {parts.scheme}:// are not served by {self._url}",
            "start the server with --serve-artifacts",
        )

    def _fetch_folder(self, path: str, target: Path, depth: int) -> None:
        if depth > _DEPTH_MAX:
            raise ArtifactError(f"{path} is nested too deeply", "register it from its files")
        answer = self._get("/api/2.0/mlflow-artifacts/artifacts", {"path": path})
        for entry in answer.get("files", []):
            # Only the last part: what a server says must not lead out of the target.
            name = PurePosixPath(str(entry["path"])).name
            if name in ("", ".", ".."):
                raise MlflowError(f"{self._url} lists {entry['path']!r}", "look at the server")
            inner = target / name
            if entry.get("is_dir"):
                inner.mkdir()
                self._fetch_folder(f"{path}/{name}", inner, depth + 1)
            else:
                self._fetch_file(f"{path}/{name}", inner)

    def _fetch_file(self, path: str, target: Path) -> None:
        with (
            self._open(f"/api/2.0/mlflow-artifacts/artifacts/{quote(path)}") as answer,
            target.open("wb") as file,
        ):
            while chunk := answer.read(_CHUNK_BYTES):
                file.write(chunk)

    def _get(self, path: str, query: Mapping[str, str]) -> dict[str, Any]:
        with self._open(f"{path}?{urlencode(query)}") as answer:
            try:
                value = json.load(answer)
            except ValueError as error:
                raise MlflowError(f"{self._url} does not speak MLflow's API", "check the URL") from error
        if not isinstance(value, dict):
            raise MlflowError(f"{self._url} does not speak MLflow's API", "check the URL")
        return value

    def _open(self, path: str) -> Any:
        request = Request(self._url + path)  # noqa: S310 - the scheme was checked
        if self._token:
            request.add_header("Authorization", f"Bearer {self._token}")
        try:
            return urlopen(request, timeout=_TIMEOUT_S)  # noqa: S310
        except HTTPError as error:
            with error:
                text = error.read(500).decode("utf-8", "replace")
            raise MlflowError(
                f"{self._url} answered {error.code}: {' '.join(text.split())[:200]}", ""
            ) from error
        except (URLError, OSError) as error:
            reason = getattr(error, "reason", error)
            raise MlflowError(f"{self._url} does not answer ({reason})", "check the URL") from error


def _copy(source: Path, target: Path) -> None:
    for path in sorted(source.rglob("*")):
        inner = target / path.relative_to(source)
        if path.is_symlink():
            raise ArtifactError(f"{path} is a link", "import the files themselves")
        if path.is_dir():
            inner.mkdir(parents=True, exist_ok=True)
        else:
            inner.parent.mkdir(parents=True, exist_ok=True)
            inner.write_bytes(path.read_bytes())
