"""Tests of noticing that the configuration file has changed."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from config.problems import ConfigError
from proxy.reload import ConfigFile, entries_on_the_way, needs_restart
from tests.helpers.configurations import configuration
from tests.helpers.waiting import until


class Watched:
    """A watched file, and how often it was said to have changed."""

    def __init__(self, path: Path) -> None:
        self.changes = 0
        self._file = ConfigFile(path, os.environ)
        self._task = asyncio.ensure_future(self._watch())

    async def _watch(self) -> None:
        async for _ in self._file.changes():
            self.changes += 1

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


class ConfigMap:
    """A folder as Kubernetes mounts a ConfigMap: the file is a link through a link that is swapped."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "headgate.yaml"
        self.number = 0
        self.swap("first")
        self.path.symlink_to("..data/headgate.yaml")

    def swap(self, content: str) -> None:
        self.number += 1
        new = self.folder / f"..2026_{self.number}"
        new.mkdir()
        (new / "headgate.yaml").write_text(content)
        link = self.folder / "..data_tmp"
        link.symlink_to(new.name)
        link.replace(self.folder / "..data")


@pytest.fixture
async def config_map(tmp_path: Path) -> ConfigMap:
    """A mounted ConfigMap."""
    return ConfigMap(tmp_path)


@pytest.fixture
async def plain(tmp_path: Path) -> AsyncIterator[tuple[Path, Watched]]:
    """A watched plain file."""
    path = tmp_path / "headgate.yaml"
    path.write_text("first")
    watched = Watched(path)
    await started()
    yield path, watched
    await watched.stop()


async def started() -> None:
    """Give the watcher's thread time to set its watches; a change before that is found by the slow look."""
    await asyncio.sleep(0.3)


async def test_written_file(plain: tuple[Path, Watched]) -> None:
    """Writing into the file is a change, once."""
    path, watched = plain

    path.write_text("second")

    await until(lambda: watched.changes == 1)


async def test_replaced_file(plain: tuple[Path, Watched]) -> None:
    """Editors put a new file in the place of the old one, which is a change again and again."""
    path, watched = plain
    for number in range(1, 4):
        temporary = path.with_suffix(".tmp")
        temporary.write_text(f"content {number}")
        temporary.replace(path)
        await until(lambda number=number: watched.changes == number)  # type: ignore[misc]


async def test_same_content_is_no_change(plain: tuple[Path, Watched]) -> None:
    """Touching, rewriting, removing and putting back the same content reloads nothing."""
    path, watched = plain
    path.write_text("first")
    path.touch()
    path.unlink()
    await asyncio.sleep(0.5)
    path.write_text("first")
    await asyncio.sleep(0.5)

    path.write_text("second")
    await until(lambda: watched.changes)

    assert watched.changes == 1


async def test_config_map(config_map: ConfigMap) -> None:
    """Each swap of a ConfigMap is noticed, although neither the file nor its link is touched."""
    watched = Watched(config_map.path)
    await started()

    for number in range(1, 4):
        config_map.swap(f"content {number}")
        await until(lambda number=number: watched.changes == number)  # type: ignore[misc]

    await watched.stop()


async def test_swapped_folder_far_up(tmp_path: Path) -> None:
    """A link to the folder of the current release, somewhere up the path, is followed as well."""
    for name in ("one", "two"):
        (tmp_path / name / "etc").mkdir(parents=True)
        (tmp_path / name / "etc" / "headgate.yaml").write_text(name)
    current = tmp_path / "current"
    current.symlink_to("one")
    watched = Watched(current / "etc" / "headgate.yaml")
    await started()

    (tmp_path / "next").symlink_to(tmp_path / "two")
    (tmp_path / "next").replace(current)

    await until(lambda: watched.changes == 1)
    (tmp_path / "two" / "etc" / "headgate.yaml").write_text("three")
    await until(lambda: watched.changes == 2)
    await watched.stop()


def test_entries_on_the_way(config_map: ConfigMap) -> None:
    """The file and each link that leads to it, absolute and relative, decide about its content."""
    folder = config_map.folder.resolve()
    other = folder / "link.yaml"
    other.symlink_to(config_map.path)

    assert entries_on_the_way(other) == {
        other,
        folder / "headgate.yaml",
        folder / "..data",
        folder / "..2026_1" / "headgate.yaml",
    }


def test_link_in_a_circle_ends(tmp_path: Path) -> None:
    """Links that lead to each other are an error of the file, not an endless search."""
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")

    assert tmp_path / "a" in entries_on_the_way(tmp_path / "a")


def test_load_finds_what_only_a_split_can_find(tmp_path: Path) -> None:
    """A file whose schema holds and whose split does not fit is refused with its place."""
    path = tmp_path / "headgate.yaml"
    path.write_text(configuration().replace("header:x-user-id", "nonsense"))

    with pytest.raises(ConfigError, match=r"headgate\.yaml:\d+:\d+: routes\[0\]\.split\.key"):
        ConfigFile(path, os.environ).load()


def test_needs_restart(tmp_path: Path) -> None:
    """Listeners, admin, workers and state are read at the start only, and are named when they change."""
    before, after = tmp_path / "a.yaml", tmp_path / "b.yaml"
    before.write_text(configuration())
    after.write_text(configuration(workers=3, listeners=[{"bind": "127.0.0.1:8081"}], timeouts={"drain": 9}))

    running, wanted = (ConfigFile(path, os.environ).load() for path in (before, after))

    assert needs_restart(running, wanted) == ["listeners", "workers"]
    assert needs_restart(running, running) == []
