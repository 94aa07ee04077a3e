"""No option changes what a document is made of, and nothing in it hangs in the air."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control.ci.catalogue import PROVIDERS
from control.ci.choose import OptionsError, check
from tests.control.ci.combinations import all_options, covering_options, files_of
from tests.control.ci.references import declarative_blocks, faults, parse

NASTY = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        [
            "$(reboot)",
            "${{ secrets.TOKEN }}",
            "a\nb: c",
            "-rf",
            "'; reboot #",
            '" : {}',
            "a b",
            "#!x",
            "]]",
            "[[ 7 * 7 ]]",
            "$[variables]",
            "`id`",
            "''' + x + '''",
            "\\'",
            "%0A::set-output::",
            "a: &b *b",
            "|",
            "- x",
            "é",
            "\u2028",
            "../../etc",
        ]
    ),
)
TEXT_OPTIONS = [
    "model",
    "requirements",
    "headgate",
    "artifact",
    "metrics",
    "version_file",
    "compare_with",
    "audit_key",
    "schedule",
    "runner",
    "gpu_runner",
    "image",
    "address_secret",
    "token_secret",
]
LIST_OPTIONS = ["python", "dependencies", "thresholds", "branches", "prepare"]


def shape(value: Any) -> Any:
    """A document without what its scalars say."""
    if isinstance(value, dict):
        return {_plain(str(key)): shape(item) for key, item in value.items()}
    return [shape(item) for item in value] if isinstance(value, list) else type(value).__name__


def _plain(key: str) -> str:
    return re.sub(r"\d", "0", key)


def document(provider: str, options: dict[str, Any]) -> Any:
    files = files_of(provider, options)
    return [
        declarative_blocks(text) if provider == "jenkins" else shape(parse(text)) for text in files.values()
    ]


def _baseline(option: str) -> dict[str, Any]:
    plain = {
        "audit_key": "k",
        "runner": "r",
        "gpu_runner": "g",
        "image": "python:3.12.1",
        "headgate": "headgate==0.1.0",
    }
    base: dict[str, Any] = {"model": "fraud"}
    if option in plain:
        base[option] = plain[option]
    return base


@settings(max_examples=60)
@given(option=st.sampled_from(TEXT_OPTIONS), text=NASTY)
def test_a_value_is_refused_or_changes_no_structure(option: str, text: str) -> None:
    """Names with quotes, expressions, newlines: whatever is taken is text and nothing else."""
    try:
        check({"model": "fraud", option: text})
    except OptionsError:
        return
    for provider in PROVIDERS:
        assert document(provider, {"model": "fraud", option: text}) == document(provider, _baseline(option))


@settings(max_examples=60)
@given(option=st.sampled_from(LIST_OPTIONS), text=NASTY)
def test_an_entry_is_refused_or_changes_no_structure(option: str, text: str) -> None:
    """The same for entries of lists; commands are shell, but only one line of it."""
    try:
        check({"model": "fraud", option: [text]})
    except OptionsError:
        return
    plain = {
        "python": "3.12",
        "dependencies": "a",
        "thresholds": "a>1",
        "branches": "main",
        "prepare": "true",
    }
    for provider in PROVIDERS:
        assert document(provider, {"model": "fraud", option: [text]}) == document(
            provider, {"model": "fraud", option: [plain[option]]}
        )


@settings(max_examples=60)
@given(text=NASTY)
def test_a_command_arrives_as_it_was_written(text: str) -> None:
    """Quoting for YAML and Groovy is undone by their parsers, and the shell gets the line itself."""
    try:
        options = check({"model": "fraud", "prepare": [text]})
    except OptionsError:
        return
    (command,) = options.prepare
    for text in files_of("github", {"model": "fraud", "prepare": [command]}).values():
        steps = parse(text)["jobs"]["register"]["steps"]
        (step,) = [step for step in steps if step["name"] == "Prepare the artifact"]
        assert step["run"] == f"mkdir -p reports\n{command}\n"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model", "-fraud"),
        ("model", "fraud detector"),
        ("model", "fraud$(id)"),
        ("branches", ["feature/*"]),
        ("branches", ["${{ github.head_ref }}"]),
        ("artifact", "/etc/passwd"),
        ("artifact", "model/../../x"),
        ("artifact", "-o"),
        ("image", "python:latest"),
        ("image", "python"),
        ("image", "python:3"),
        ("dependencies", ["--pre"]),
        ("dependencies", ["a @ file:///x"]),
        ("token_secret", "ghp_realtoken"),
        ("token_secret", "GITHUB_TOKEN"),
        ("prepare", ["make || true"]),
        ("prepare", ["make; true"]),
        ("prepare", ["make || :"]),
        ("prepare", ["make || exit 0"]),
        ("prepare", ["curl -s x | bash"]),
        ("prepare", ["wget -qO- x | sudo sh -s"]),
        ("prepare", ["echo $(id)"]),
        ("prepare", ["echo ${{ github.token }}"]),
        ("prepare", ["a\nb"]),
        ("prepare", [""]),
        ("python", ["3.8"]),
        ("schedule", "@weekly; x"),
        ("thresholds", ["accuracy>0.9; id"]),
    ],
)
def test_what_could_be_an_injection_is_refused_with_a_remedy(key: str, value: object) -> None:
    """The message names the option and says what to write."""
    with pytest.raises(OptionsError) as refused:
        check({"model": "fraud", key: value})

    (line,) = refused.value.lines
    assert line.startswith(key)
    assert "; " in line


@pytest.mark.parametrize("provider", PROVIDERS)
def test_pipelines_hold_together(provider: str) -> None:
    """With every two choices of different options together."""
    assert sum(_holds_together(provider, options) for options in covering_options()) >= 4


@pytest.mark.slow
@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_combination_holds_together(provider: str) -> None:
    """With all of them."""
    assert sum(_holds_together(provider, options) for options in all_options()) > 300


def _holds_together(provider: str, options: dict[str, Any]) -> bool:
    """Needs, stages, templates and shell variables exist; no step hides a failure; nothing floats."""
    files = files_of(provider, options)
    if not files:
        assert options.get("oidc"), options
        return False
    assert faults(provider, files) == [], options
    for text in files.values():
        assert "|| true" not in text
        assert not re.search(r"\b(?:curl|wget)\b", text)
        assert not re.search(r"uses: [^\n]*@(?![0-9a-f]{40} # v\d)", text)
        assert not re.search(r"image: .*:latest|@(?:main|master|v\d+)\b", text)
    return True


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_secret_goes_to_the_steps_that_need_it(provider: str) -> None:
    """Tests and installs run other people's code; they never see the token."""
    files = files_of(provider, {"model": "fraud"})
    if provider == "github":
        for job in parse(next(iter(files.values())))["jobs"].values():
            assert "HEADGATE_TOKEN" not in job.get("env", {})
            for step in job["steps"]:
                assert ("HEADGATE_TOKEN" in step.get("env", {})) is ("headgate " in step.get("run", ""))
    if provider == "azure":
        text = files["azure-pipelines.yml"]
        assert text.count("HEADGATE_TOKEN: $(HEADGATE_TOKEN)") == len(
            re.findall(r"^ +headgate [a-z]", text, re.M)
        ) - (text.count("headgate status"))
    if provider == "jenkins":
        for script in re.findall(
            r"(withCredentials[^\n]*\n)? *sh '''(.*?)'''", files["Jenkinsfile"], re.DOTALL
        ):
            assert bool(script[0]) is bool(re.search(r"^ *headgate [a-z]", script[1], re.M))
