"""`headgate ci`: pipelines for four platforms, written, compared and kept up to date."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import yaml

from control.ci.catalogue import PROVIDERS
from control.ci.choose import OptionsError, choose
from control.ci.generator import CITemplateGenerator, recorded
from control.ci.provider import UnsupportedOptionError
from control.ci.writer import RefusedError
from control.cli.failure import CommandError, ExitCode, ProblemsError
from control.cli.output import Format, emit, format_option

_OPTIONS_BYTES_MAX = 1 << 20


@click.group("ci")
def ci_command() -> None:
    """Generate pipelines whose gate is Headgate's decision."""


@ci_command.command("generate")
@click.argument("provider", type=click.Choice(list(PROVIDERS)))
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Choose an option; again for more."
)
@click.option(
    "--options",
    "file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="YAML file with options.",
)
@click.option(
    "--root",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=Path(),
    show_default="here",
    help="Root of the repository.",
)
@click.option("--write", "mode", flag_value="write", help="Write the files into the repository.")
@click.option("--check", "mode", flag_value="check", help="Exit with 1 and a diff when a file would change.")
@click.option("--force", is_flag=True, help="With --write: overwrite files that were edited or are not ours.")
@format_option
def generate_command(
    provider: str,
    settings: tuple[str, ...],
    file: Path | None,
    root: Path,
    mode: str | None,
    force: bool,
    output: Format,
) -> int:
    """Print, write or compare the pipeline for PROVIDER.

    Options come from --options, else from the files that were written before, and from --set on top; the only
    one without a default is the name of the model: --set model=fraud. With the same options the files are the
    same, byte for byte.
    """
    generator = _generator(provider, settings, file, root)
    try:
        if mode == "write":
            return _write(generator, provider, root, force, output)
        if mode == "check":
            return _check(generator, provider, root, output)
        files = generator.generate(provider)
    except UnsupportedOptionError as error:
        raise CommandError(f"{provider}: {error}") from error
    emit(files, output, _listing(files).removesuffix("\n"))
    return ExitCode.OK


@ci_command.command("options")
@format_option
def options_command(output: Format) -> None:
    """List what can be chosen, with defaults."""
    from control.ci.describe import describe_options

    found = describe_options()
    width = max(len(option["name"]) for option in found)
    lines = [
        f"{option['name']:<{width}}  {option['meaning']} (default: {option['default']})" for option in found
    ]
    emit(found, output, "\n".join(lines))


def _generator(
    provider: str, settings: tuple[str, ...], file: Path | None, root: Path
) -> CITemplateGenerator:
    base: Any = {}
    if file is not None:
        base = _read(file)
    elif not any(setting.startswith("model=") for setting in settings):
        base = recorded(provider, root) or {}
    try:
        return CITemplateGenerator(choose(base, settings))
    except OptionsError as error:
        raise ProblemsError([f"headgate: {line}" for line in error.lines]) from error


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _OPTIONS_BYTES_MAX:
            raise CommandError(f"{path} is larger than 1 MiB", "give a file with options only")
        found = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise CommandError(f"{path} cannot be read: {error}", "give a YAML file") from error
    if not isinstance(found, dict):
        raise CommandError(
            f"{path} holds no mapping", "write options as keys with values, such as model: fraud"
        )
    return found


def _write(generator: CITemplateGenerator, provider: str, root: Path, force: bool, output: Format) -> int:
    try:
        changed = generator.write(provider, root, force=force)
    except RefusedError as error:
        raise ProblemsError([f"headgate: {line}" for line in error.lines]) from error
    except OSError as error:
        raise CommandError(
            f"{error.filename or root}: {error.strerror}", "look at the folder's rights"
        ) from error
    text = "\n".join(f"wrote {path}" for path in changed) or "nothing changed"
    emit({"changed": changed}, output, text)
    return ExitCode.OK


def _check(generator: CITemplateGenerator, provider: str, root: Path, output: Format) -> int:
    found = generator.drift(provider, root)
    text = "".join(one.diff for one in found).removesuffix("\n") or "as it would be written"
    emit([{"path": one.path, "missing": one.missing, "diff": one.diff} for one in found], output, text)
    return ExitCode.NEGATIVE if found else ExitCode.OK


def _listing(files: dict[str, str]) -> str:
    if len(files) == 1:
        return next(iter(files.values()))
    return "\n".join(f"==> {path} <==\n{text}" for path, text in files.items())
