"""Writing, comparing and refusing to overwrite, by the library and by the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from control.ci.catalogue import PROVIDERS
from control.ci.choose import OptionsError
from control.ci.describe import describe_options
from control.ci.generator import CITemplateGenerator
from control.ci.marker import Origin, mark, read
from control.ci.provider import UnsupportedOptionError
from control.ci.writer import RefusedError
from control.cli.main import cli

DOCUMENT = Path(__file__).parent.parent.parent.parent / "docs" / "ci.md"


def headgate(*arguments: str) -> Any:
    return CliRunner().invoke(cli, ["ci", *arguments])


def generator(**values: Any) -> CITemplateGenerator:
    return CITemplateGenerator(version="0.1.0", **{"model": "fraud", **values})


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_same_options_give_the_same_bytes(tmp_path: Path, provider: str) -> None:
    """Writing again changes nothing, and there is no drift."""
    first = generator().write(provider, tmp_path)

    assert first == list(generator().generate(provider))
    assert generator().write(provider, tmp_path) == []
    assert generator().drift(provider, tmp_path) == []
    for path, text in generator().generate(provider).items():
        assert (tmp_path / path).read_bytes() == text.encode()
        assert text.isascii()
        assert text.endswith("\n")
        assert not any(line != line.rstrip() for line in text.split("\n"))


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_edited_file_is_not_overwritten_silently(tmp_path: Path, provider: str) -> None:
    """Known defect: an edit was lost. Nothing is written then, the other files neither."""
    generator().write(provider, tmp_path)
    edited = tmp_path / next(iter(generator().generate(provider)))
    edited.write_text(edited.read_text() + "\n# mine\n")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    with pytest.raises(RefusedError, match="was edited after it was written"):
        generator(cache=False).write(provider, tmp_path)

    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert generator(cache=False).write(provider, tmp_path, force=True)
    assert "# mine" not in edited.read_text()


def test_a_file_of_somebody_else_is_not_overwritten(tmp_path: Path) -> None:
    """A pipeline that was there before Headgate came."""
    (tmp_path / "Jenkinsfile").write_text("pipeline { agent any }\n")

    with pytest.raises(RefusedError, match="was not written by this command"):
        generator().write("jenkins", tmp_path)


def test_a_link_does_not_lead_out_of_the_repository(tmp_path: Path) -> None:
    """A repository is somebody's input, too."""
    outside = tmp_path / "outside"
    outside.mkdir()
    root = tmp_path / "root"
    root.mkdir()
    (root / ".github").symlink_to(outside)

    with pytest.raises(RefusedError, match="leads out of"):
        generator().write("github", root, force=True)

    assert list(outside.iterdir()) == []


def test_a_changed_file_of_ours_is_written_again(tmp_path: Path) -> None:
    """Other options: the old file was as we wrote it, so it can go."""
    generator().write("gitlab", tmp_path)

    assert generator(cache=False).write("gitlab", tmp_path) == [".gitlab-ci.yml"]
    assert yaml.safe_load((tmp_path / ".gitlab-ci.yml").read_text())["default"].get("cache") is None


@pytest.mark.parametrize("change", [lambda text: text.replace("\n", "\r\n"), lambda text: text[:-1]])
def test_the_smallest_edit_is_seen(change: Any) -> None:
    """One byte is enough, ends of lines included."""
    text = mark("body: 1\nmore: 2\n", provider="github", options={"model": "fraud"}, comment="#")

    assert read(text, "#").origin is Origin.OURS
    assert read(change(text), "#").origin is not Origin.OURS


def test_what_a_platform_cannot_do_is_said() -> None:
    """Not left out silently."""
    oidc = {"provider": "gcp", "identity": "projects/1/pools/p"}

    with pytest.raises(
        UnsupportedOptionError, match=r"oidc\.provider: Jenkins has no identity token for gcp"
    ):
        generator(oidc=oidc).generate("jenkins")
    with pytest.raises(UnsupportedOptionError, match=r"no image is known for 3\.17"):
        generator(python=["3.17"]).generate("gitlab")


def test_the_library_names_every_mistake() -> None:
    """All at once, each with a remedy."""
    with pytest.raises(OptionsError) as refused:
        CITemplateGenerator(model="a b", python=["2.7"], nothing=1)

    assert [line.split(":")[0] for line in refused.value.lines] == ["model", "python[0]", "nothing"]


def test_the_command_writes_compares_and_remembers(tmp_path: Path) -> None:
    """The options stand in the file, so that --check and the next --write need none."""
    root = ("--root", str(tmp_path))
    chosen = ("--set", "model=fraud", "--set", "python=[3.11, 3.10]".replace("3.10", "3.12"))

    wrote = headgate("generate", "github", *chosen, *root, "--write")
    assert (wrote.exit_code, wrote.stdout) == (0, "wrote .github/workflows/headgate-fraud.yml\n")
    assert headgate("generate", "github", *root, "--check").exit_code == 0

    drifted = headgate("generate", "github", *root, "--set", "environments[1].timeout=4h", "--check")
    assert drifted.exit_code == 1
    assert '+      GATE_TIMEOUT: "14400s"' in drifted.stdout
    assert headgate("generate", "github", *root, "--write").stdout == "nothing changed\n"

    path = tmp_path / ".github/workflows/headgate-fraud.yml"
    path.write_text(path.read_text().replace("fail-fast: false", "fail-fast: true"))
    refused = headgate("generate", "github", *root, "--write")
    assert refused.exit_code == 2
    assert "was edited after it was written" in refused.stderr
    assert headgate("generate", "github", *root, "--check").exit_code == 1
    assert headgate("generate", "github", *root, "--write", "--force").exit_code == 0


def test_check_without_a_file_is_drift(tmp_path: Path) -> None:
    """A pipeline that somebody removed is not as it would be written."""
    checked = headgate(
        "generate", "azure", "--set", "model=fraud", "--root", str(tmp_path), "--check", "-o", "json"
    )

    assert checked.exit_code == 1
    assert [one["missing"] for one in json.loads(checked.stdout)] == [True, True]


def test_an_options_file_is_read_and_its_mistakes_are_named(tmp_path: Path) -> None:
    """As with --set."""
    file = tmp_path / "options.yaml"
    file.write_text("model: fraud\nmonitoring: 5m\npyhton: ['3.12']\n")

    refused = headgate("generate", "jenkins", "--options", str(file))
    assert (refused.exit_code, refused.stderr.splitlines()[0][:33]) == (
        2,
        "headgate: pyhton: there is no suc",
    )

    file.write_text("model: fraud\nmonitoring: 5m\n")
    printed = headgate("generate", "jenkins", "--options", str(file))
    assert printed.exit_code == 0
    assert "WATCH_TIME = '300s'" in printed.stdout


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("model", "is not KEY=VALUE"),
        ("tests.lint=[", "cannot be read"),
        ("environments[9].name=x", "there is no entry 9"),
        ("model.name=x", "not below a mapping"),
    ],
)
def test_a_setting_that_cannot_be_read_is_named(setting: str, said: str) -> None:
    """Exit code 2 and one line."""
    refused = headgate("generate", "github", "--set", "model=fraud", "--set", setting)

    assert refused.exit_code == 2
    assert said in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_every_option_is_documented() -> None:
    """The table in the documentation is the one of the command."""
    text = DOCUMENT.read_text()

    for option in describe_options():
        assert option["meaning"], option["name"]
        default = option["default"].replace("|", "\\|")
        assert f"| `{option['name']}` | {option['meaning']} | `{default}` |" in text
