"""The last configuration that was in force, kept beside the last table.

When an agent is replaced while the file on disk is faulty, the one before it still has to serve: an edit that
was refused must not become an outage because a process died.
"""

from pathlib import Path

import orjson
from pydantic import ValidationError

from config.load import Loaded, config_digest
from config.schema import Config
from config.source import Source
from proxy.state import write_atomically


def remember(path: Path, loaded: Loaded) -> None:
    """Keep a configuration that is in force now; OSError when the disk does not take it."""
    value = {
        "digest": loaded.digest,
        "file": loaded.source.file,
        "directory": str(loaded.directory),
        "config": loaded.config.to_json(),
    }
    write_atomically(path, orjson.dumps(value), durable=True)


def recall(path: Path) -> Loaded | None:
    """Return the configuration that was in force last; None when there is none, or not a whole one."""
    try:
        value = orjson.loads(path.read_bytes())
        config = Config.from_json(value["config"])
        loaded = Loaded(
            config=config,
            source=Source(file=value["file"], places={}),
            digest=value["digest"],
            directory=Path(value["directory"]),
        )
    except (OSError, orjson.JSONDecodeError, ValidationError, KeyError, TypeError):
        return None
    return loaded if config_digest(config) == loaded.digest else None
