"""What `headgate run` and `headgate proxy` share: from a checked configuration to a running supervisor."""

from __future__ import annotations

from pathlib import Path

from config.load import Loaded
from config.render import to_yaml
from control.cli.failure import ProblemsError

# Where the configuration of a start without a file is written for the agent, in the state directory.
FLAGS_FILE = "flags.yaml"


def serve(loaded: Loaded, *, state: Path | None = None, control: bool, written: bool) -> None:
    """Check what can be checked, then become the supervisor; does not return.

    Args:
        loaded: The configuration, without problems.
        state: State directory, instead of the configured one.
        control: Whether to judge.
        written: Whether the configuration is a file; else it is written into the state directory.

    Raises:
        ProblemsError: Nothing was started.
    """
    from proxy.becoming import become
    from proxy.startup import StartRefusedError
    from proxy.supervisor import prepare

    directory = (state or loaded.state_directory).absolute()
    config = None if written else directory / FLAGS_FILE
    try:
        settings = prepare(loaded, config=config, state=state, control=control)
    except StartRefusedError as error:
        raise ProblemsError(error.problems) from error
    if config is not None:
        # Only now: before, another Headgate might have been using the directory.
        config.write_text("# From the command line; written again at each start.\n" + to_yaml(loaded.config))
    become(settings)
