"""The commands of `headgate`: name, module and one line of help, so that `--help` imports none of them."""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """Where a command is and what `headgate --help` says of it."""

    module: str
    help: str
    section: str


_SERVE = "Serve"
_LOOK = "Look"
_ACT = "Act on a rollout"
_REGISTRY = "Releases"
_CONFIG = "Configuration"
_PROCESS = "The running process"
_PIPELINES = "Pipelines"

CATALOGUE: dict[str, Entry] = {
    "run": Entry("run", "Serve, count, judge and roll back.", _SERVE),
    "proxy": Entry("proxy", "Serve with the configured weights only; nothing is judged.", _SERVE),
    "check": Entry("check", "Report every problem of configuration files.", _CONFIG),
    "diff": Entry("diff", "Show what changes from one configuration to another.", _CONFIG),
    "schema": Entry("schema", "Print the JSON Schema of the configuration, for editors.", _CONFIG),
    "token": Entry("token", "Generate an admin token and the entry for the configuration.", _CONFIG),
    "status": Entry("status", "Show routes, weights, counts and verdicts.", _LOOK),
    "why": Entry("why", "Explain a decision with the numbers it was made from.", _LOOK),
    "replay": Entry("replay", "Compute a decision again from what was stored with it.", _LOOK),
    "simulate": Entry("simulate", "Say how fast harm is found, and how often where there is none.", _LOOK),
    "power": Entry("power", "Say about how many canary requests it takes to decide.", _LOOK),
    "wait": Entry("wait", "Wait until a rollout is promoted, rolled back or paused.", _LOOK),
    "gate": Entry("gate", "Wait for the decision on a rollout; the exit code is the decision.", _LOOK),
    "shadow": Entry("shadow", "Show what shadows have shown, and rules for what they may differ in.", _LOOK),
    "registry": Entry("registry", "Register releases, move them between stages, name them.", _REGISTRY),
    "approvals": Entry("approvals", "Ask for a release to be let into a stage, and decide.", _REGISTRY),
    "audit": Entry("audit", "Show who did what, newest last; or verify, prove and export it.", _LOOK),
    "promote": Entry("act", "Give the canary all traffic now.", _ACT),
    "pause": Entry("act", "Hold a rollout at its present weight.", _ACT),
    "resume": Entry("act", "Let a paused rollout go on.", _ACT),
    "abort": Entry("act", "End a rollout without a verdict; all traffic to stable.", _ACT),
    "rollback": Entry("act", "Send all traffic to stable now.", _ACT),
    "restart": Entry("act", "Begin a finished rollout again at its first step.", _ACT),
    "ci": Entry("ci", "Generate pipelines whose gate is Headgate's decision.", _PIPELINES),
    "deployment": Entry("deployment", "Bring a release to a route by one of five strategies.", _ACT),
    "experiment": Entry("experiment", "Compare variants on a route for as long as it takes to know.", _ACT),
    "reload": Entry("reload", "Read the configuration file again.", _PROCESS),
    "upgrade": Entry(
        "upgrade", "Become the program that is on disk now, without failing a request.", _PROCESS
    ),
    "drain": Entry("drain", "Stop accepting, finish what is in flight.", _PROCESS),
    "version": Entry("version", "Print the version of Headgate and of what it runs on.", _PROCESS),
}
