"""The configuration file of a running proxy: read again on demand, and watched for changes."""

import asyncio
import hashlib
import logging
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Final

import watchfiles

from config.load import Loaded, load_file
from config.problems import ConfigError
from proxy.certificates import check_tls
from proxy.compile import check_config

log = logging.getLogger("headgate.agent")

# Changes come in bursts: an editor renames, a ConfigMap swaps links. The file is read when it has been quiet.
DEBOUNCE_MS: Final = 200
# A look now and then also finds changes that no notification came for: network file systems, links far away.
POLL_MS: Final = 5000

# As many as Linux follows.
LINKS_MAX: Final = 40

# What takes effect at the start only, by its place in the configuration.
FIXED: Final = ("listeners", "admin", "workers", "state")


class ConfigFile:
    """One configuration file."""

    def __init__(self, path: Path, environ: Mapping[str, str]) -> None:
        self.path = path
        self._environ = environ

    def load(self) -> Loaded:
        """Return the configuration; ConfigError names everything that is wrong with it."""
        loaded = load_file(self.path, self._environ)
        problems = sorted([*check_config(loaded), *check_tls(loaded)])
        if problems:
            raise ConfigError(problems)
        return loaded

    async def changes(self) -> AsyncGenerator[None, None]:
        """Yield whenever the content of the file has changed, links anywhere on its way included.

        Folders are watched rather than the file: editors and ConfigMaps put a new file, or a new link, in the
        place of the old one, and a watch on the old file would never hear of it.
        """
        seen = self._content()
        while True:
            entries = entries_on_the_way(self.path)
            try:
                # Closed here and now: the watch lives in a thread, which would go on until it is collected.
                async with aclosing(_watch(entries)) as looks:
                    async for _ in looks:
                        now = self._content()
                        if now is not None and now != seen:
                            seen = now
                            yield
                        if entries != entries_on_the_way(self.path):
                            break
            except (OSError, RuntimeError) as exc:
                # Too many watches on this machine, or the folder is gone: look now and then instead.
                log.warning("%s: cannot be watched (%s); looking every %d s", self.path, exc, POLL_MS // 1000)
                await asyncio.sleep(POLL_MS / 1000)

    def _content(self) -> bytes | None:
        """Return a digest of the content; None while the file is missing, which is no new configuration."""
        try:
            return hashlib.sha256(self.path.read_bytes()).digest()
        except OSError:
            return None


def entries_on_the_way(path: Path) -> set[Path]:
    """Return the file and every link that leads to it: when one of these changes, the content may."""
    entries: set[Path] = set()
    place, parts = Path("/"), deque(path.absolute().parts[1:])
    links = 0
    while parts and links < LINKS_MAX:
        part = parts.popleft()
        if part == "..":
            place = place.parent
            continue
        entry = place / part
        if not entry.is_symlink():
            place = entry
            continue
        entries.add(entry)
        links += 1
        target = entry.readlink()
        if target.is_absolute():
            place, target = Path("/"), target.relative_to("/")
        parts.extendleft(reversed(target.parts))
    return entries | {place}


def _watch(entries: set[Path]) -> AsyncGenerator[object, None]:
    folders = {entry.parent for entry in entries}
    return watchfiles.awatch(
        *folders,
        # A log file beside the configuration is no reason to read it again for every line.
        watch_filter=lambda _, changed: Path(changed) in entries,
        step=DEBOUNCE_MS // 4,
        debounce=DEBOUNCE_MS,
        rust_timeout=POLL_MS,
        yield_on_timeout=True,
        recursive=False,
    )


def needs_restart(running: Loaded, wanted: Loaded) -> list[str]:
    """Return which parts of `wanted` differ from `running` and take effect at the next start only."""
    before, after = running.config.to_json(), wanted.config.to_json()
    return [name for name in FIXED if before[name] != after[name]]
