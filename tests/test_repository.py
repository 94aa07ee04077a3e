"""Rules about the repository itself: what a module may import and how long it is, what is documented."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("config", "proxy", "control")

# Past this a module usually has a second idea in it. Those that were looked at and left whole have their own.
MODULE_LINES_MAX = 400
MODULE_LINES_EXCEPTIONS = {
    "control.rollout.machine": 480,  # one table of states, and the functions that move along it
    "proxy.relay": 480,  # every end of an exchange, which must be read together
    "proxy.downstream": 440,  # one protocol
}

# What a worker must never load: each costs start-up time and memory in every process that carries bytes.
HEAVY = ("numpy", "scipy", "sqlalchemy", "alembic", "yaml", "pydantic", "aiohttp", "click", "rich", "jinja2")
# What most workers have no use for: with what it loads 2.5 of the 30 MB that an idle worker may hold.
UNUSED = (
    *("hashlib", "hmac", "secrets", "orjson", "datetime", "uuid", "platform"),
    *("pathlib", "ipaddress", "urllib", "decimal"),
)
# What judges and stores stays in the control process.
CONTROL_ONLY = ("numpy", "scipy", "sqlalchemy", "alembic", "jinja2", "control")


@cache
def _modules() -> list[str]:
    return [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
        if not {"migrations", "__main__.py"} & set(path.parts)
    ]


@cache
def _tracked() -> list[Path]:
    """Files that git knows or would take; without git (an unpacked archive) there is nothing to check."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    return [path for name in listed.stdout.decode().split("\0") if name and (path := ROOT / name).is_file()]


def _loaded_by(statement: str) -> set[str]:
    """Top-level names of all modules that a new interpreter has loaded after `statement`."""
    program = (
        f"{statement}\nimport json, sys\nprint(json.dumps([name.split('.')[0] for name in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_every_module_can_be_imported_first() -> None:
    """No module needs another one to have been imported before it: imports form no circle."""
    names = set(_modules())

    order = list(TopologicalSorter({name: _imports(name) & names for name in names}).static_order())

    assert set(order) == names


def test_every_module_can_be_imported() -> None:
    """All of them, in one new interpreter, without a warning."""
    program = f"import importlib\nfor name in {_modules()!r}:\n    importlib.import_module(name)"

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("module", "refused"),
    [
        ("proxy.worker", HEAVY + UNUSED),
        ("proxy.agent", CONTROL_ONLY),
        ("proxy.supervisor", CONTROL_ONLY),
        ("config.load", ("numpy", "scipy", "sqlalchemy", "aiohttp", "proxy", "control")),
    ],
)
def test_a_process_loads_only_what_it_needs(module: str, refused: tuple[str, ...]) -> None:
    """Bytes are carried by processes that hold no numerics, SQL or web framework."""
    loaded = _loaded_by(f"import {module}")

    assert module.split(".")[0] in loaded
    assert not loaded & set(refused)


def test_the_import_names_are_ours() -> None:
    """Other distributions install `config`, `proxy` and `control`, too; here they must not win."""
    for package in PACKAGES:
        spec = find_spec(package)

        assert spec is not None
        assert spec.origin is not None
        assert Path(spec.origin).resolve().is_relative_to(ROOT.resolve())


def test_a_module_opens_with_a_sentence_and_ends_in_time() -> None:
    """Each module says in its docstring what it is, and is short enough to be one idea."""
    found = []
    for module in _modules():
        docstring = ast.get_docstring(_tree(module)) or ""
        lines = _path(module).read_text("utf-8").count("\n")
        if not docstring.split("\n\n")[0].rstrip().endswith((".", ":")):
            found.append(f"{module}: the docstring is no sentence")
        if lines > MODULE_LINES_EXCEPTIONS.get(module, MODULE_LINES_MAX):
            found.append(f"{module}: {lines} lines")

    assert _modules()
    assert found == []


def test_no_group_is_possessive() -> None:
    """Python before 3.11.5 takes a possessive group that fails in its middle for a match; atomic ones do."""
    possessive = re.compile(r"(?<!\\)\)[*+?]\+")
    found = []
    for module in _modules():
        for node in ast.walk(_tree(module)):
            value = node.value if isinstance(node, ast.Constant) else None
            text = value.decode("latin-1") if isinstance(value, bytes) else value
            # In brackets these characters stand for themselves.
            if isinstance(text, str) and ")" in text and possessive.search(re.sub(r"\[[^\]]*\]", "x", text)):
                found.append(f"{module}: {text!r}")

    assert found == []


def test_packages_export_nothing() -> None:
    """A name is imported from where it is defined."""
    for package in PACKAGES:
        for path in (ROOT / package).rglob("__init__.py"):
            body = ast.parse(path.read_text("utf-8")).body

            assert len(body) <= 1, f"{path}: more than a docstring"


def test_every_test_folder_is_a_package() -> None:
    """Without `__init__.py` a folder such as tests/proxy would hide the package of that name."""
    folders = {path.parent for path in (ROOT / "tests").rglob("*.py")}

    assert folders
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


def _documentation() -> str:
    return "\n".join(
        path.read_text("utf-8") for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    )


@pytest.mark.parametrize("package", ["proxy.splits", "control.guardrails"])
def test_every_kind_is_documented(package: str) -> None:
    """What can be written as `kind` in a configuration stands in the documentation, as `code`."""
    kinds = _kinds(package)
    documentation = _documentation()

    assert kinds, f"{package} has no kinds"
    assert [kind for kind in kinds if f"`{kind}`" not in documentation] == []


def test_every_command_is_documented() -> None:
    """Each command has its section in docs/cli.md, and no section describes one that is gone."""
    from control.cli.catalogue import CATALOGUE

    sections = re.findall(r"^## `headgate ([a-z]+)", (ROOT / "docs/cli.md").read_text("utf-8"), re.MULTILINE)

    assert sorted(sections) == sorted(CATALOGUE)


def test_the_readme_leads_to_every_document() -> None:
    """Nobody has to guess what there is to read."""
    linked = set(re.findall(r"\]\((docs/[^)#\s]+)", (ROOT / "README.md").read_text("utf-8")))

    assert {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")} == linked


def test_links_between_documents_lead_somewhere() -> None:
    """A relative link in the documentation names a file that is there."""
    broken = []
    for document in [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)", document.read_text("utf-8")):
            if "://" not in target and not (document.parent / target).exists():
                broken.append(f"{document.relative_to(ROOT)}: {target}")

    assert broken == []


# Written in two halves, so that this file does not find itself.
FOREIGN = tuple(
    left + right
    for left, right in [
        ("/work/", "main"),
        ("/work/", "shared"),
        ("/opt/", "pypi"),
        ("/root/", "."),
        ("pypi", ".org"),
        ("python", "hosted.org"),
        ("registry.", "npmjs"),
        ("--index", "-url"),
        ("--trusted", "-host"),
    ]
)


def test_the_repository_names_no_machine_and_no_package_host() -> None:
    """What is checked in works anywhere: no path of somebody's machine, no host to fetch packages from."""
    allowed = {ROOT / "Makefile"}  # tells the resolver to leave such lines out
    found = []
    for path in _tracked():
        if path in allowed:
            continue
        text = path.read_bytes().decode("utf-8", "replace")
        found += [f"{path.relative_to(ROOT)}: {word}" for word in FOREIGN if word in text]

    assert _tracked() or not (ROOT / ".git").exists()
    assert found == []


def test_no_merge_was_left_half_done() -> None:
    """Templates and documents have no compiler that would stumble over the marks of a conflict."""
    marks = ("<" * 7 + " ", ">" * 7 + " ")
    found = []
    for path in _tracked():
        text = "\n" + path.read_bytes().decode("utf-8", "replace")
        if any(f"\n{mark}" in text for mark in marks):
            found.append(f"{path.relative_to(ROOT)}")

    assert found == []


def _imports(module: str) -> set[str]:
    """What a module imports while it is imported itself: not inside functions, not for types only."""
    found: set[str] = set()
    waiting: list[ast.AST] = [_tree(module)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            waiting += node.orelse
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.expr)):
            waiting += ast.iter_child_nodes(node)
    return found


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse(_path(module).read_text("utf-8"))


def _path(module: str) -> Path:
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _kinds(package: str) -> list[str]:
    """The `kind` of every class in a package, read from the source: no module has to be imported for it."""
    found = []
    for path in sorted(_path(package).parent.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Assign):
                targets = node.targets
            elif isinstance(node, ast.AnnAssign):
                targets = [node.target]
            else:
                continue
            if [target.id for target in targets if isinstance(target, ast.Name)] != ["kind"]:
                continue
            if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
                found.append(node.value.value)
    return found
