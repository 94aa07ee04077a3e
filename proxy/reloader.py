"""Puts a changed configuration into use, or refuses it and leaves the old one serving."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from config.load import Loaded
from config.problems import ConfigError
from proxy.certificates import Certificates
from proxy.compile import compile_table, needs_control
from proxy.control_link import ConfigRefusedError, ControlAwayError, ControlLink
from proxy.keeper import TableKeeper
from proxy.reload import ConfigFile, needs_restart
from proxy.slots import Table

log = logging.getLogger("headgate.agent")

TABLE_WAIT_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reloaded:
    """What became of an order to read the configuration again.

    `outcome` is applied, unchanged, deferred (control is away and takes it when it is back) or refused.
    `restart_needed` names parts of the file that take effect at the next start only.
    """

    outcome: str
    revision: int
    digest: str
    problems: tuple[str, ...] = ()
    restart_needed: tuple[str, ...] = ()


class Reloader:
    """The configuration in force, and the way to another one."""

    def __init__(self, file: ConfigFile, loaded: Loaded, keeper: TableKeeper) -> None:
        self.loaded = loaded
        self.problems: list[str] = []
        self.outcomes = {"applied": 0, "unchanged": 0, "deferred": 0, "refused": 0}
        self.link: ControlLink | None = None
        self.certificates: Certificates | None = None
        self._file = file
        self._keeper = keeper
        self._started_with = loaded
        self._one_at_a_time = asyncio.Lock()

    async def follow(self) -> None:
        """Reload whenever the file changes, for ever."""
        async for _ in self._file.changes():
            await self.reload()

    async def reload(self) -> Reloaded:
        """Read the configuration again and put it into use; a faulty one changes nothing."""
        async with self._one_at_a_time:
            reloaded = await self._reload()
        self.outcomes[reloaded.outcome] += 1
        self.refuse(reloaded.problems)
        if reloaded.restart_needed:
            log.warning("%s: changes take effect at the next start", ", ".join(reloaded.restart_needed))
        log.info("reload: %s", reloaded.outcome)
        return reloaded

    def refuse(self, problems: Sequence[str]) -> None:
        """Note what is wrong with the configuration file as it is now; nothing, when it is in force."""
        self.problems = list(problems)
        for problem in problems:
            log.error("configuration refused: %s", problem)
        self._keeper.news.set()

    def compile(self, previous: Table | None) -> Table:
        """Return the table of the configuration as it stands; for proxies without control."""
        revision = max(self._keeper.revision, previous["revision"] if previous else 0) + 1
        return compile_table(
            self.loaded.config, revision=revision, states={}, digest=self.loaded.digest, previous=previous
        )

    async def _reload(self) -> Reloaded:
        try:
            # Reading is off the loop: the file may lie on a network.
            loaded = await asyncio.to_thread(self._file.load)
        except ConfigError as exc:
            return self._result("refused", problems=[str(problem) for problem in exc.problems])
        if self.certificates is not None:
            # Before the table that needs them.
            self.certificates.use(loaded)
        restart = needs_restart(self._started_with, loaded)
        if loaded.digest == self.loaded.digest:
            return self._result("unchanged", restart=restart)
        if self.link is None:
            if problems := needs_control(loaded):
                return self._result("refused", problems=[str(problem) for problem in problems])
            self.loaded = loaded
            used = self._keeper.apply(self.compile(self._keeper.table))
            return self._result("applied" if used else "deferred", restart=restart)
        try:
            await self.link.put_config(loaded)
        except ConfigRefusedError as exc:
            return self._result("refused", problems=exc.problems)
        except ControlAwayError:
            # It is told as soon as it is back: the link begins with the configuration.
            self.loaded = loaded
            return self._result("deferred", restart=restart)
        self.loaded = loaded
        used = await self._table_of(loaded.digest)
        return self._result("applied" if used else "deferred", restart=restart)

    async def _table_of(self, digest: str) -> bool:
        """Wait until the table in use is made from a configuration; return whether it came in time."""
        try:
            async with asyncio.timeout(TABLE_WAIT_SECONDS):
                while self._keeper.config_digest != digest:
                    self._keeper.news.clear()
                    await self._keeper.news.wait()
        except TimeoutError:
            return False
        return True

    def _result(self, outcome: str, *, problems: Sequence[str] = (), restart: Sequence[str] = ()) -> Reloaded:
        return Reloaded(
            outcome=outcome,
            revision=self._keeper.revision,
            digest=self.loaded.digest,
            problems=tuple(problems),
            restart_needed=tuple(restart),
        )
