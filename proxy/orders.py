"""What an agent is told from outside: signals, and the end of its supervisor."""

import asyncio
import contextlib
import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from proxy.agent import Agent

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2)


@contextlib.contextmanager
def orders(agent: "Agent", tasks: asyncio.TaskGroup) -> Iterator[None]:
    """Obey for a while: SIGHUP reloads, SIGTERM and SIGINT drain, SIGUSR2 makes room for another agent.

    A lost supervisor makes us step aside.
    """
    loop = asyncio.get_running_loop()
    numbers = SIGNALS if agent.options.signals else ()
    parent = agent.options.parent_fd

    def obey(number: signal.Signals) -> None:
        if number is signal.SIGHUP:
            tasks.create_task(agent.reloader.reload())
        elif number is signal.SIGUSR2:
            agent.leave()
        else:
            agent.drain()

    def parent_died() -> None:
        loop.remove_reader(parent or 0)
        tasks.create_task(agent.abdicate())

    for number in numbers:
        loop.add_signal_handler(number, obey, number)
    if parent is not None:
        # Nothing is ever written to this pipe: it becomes readable when the other end closes.
        loop.add_reader(parent, parent_died)
    try:
        yield
    finally:
        if parent is not None:
            loop.remove_reader(parent)
        for number in numbers:
            loop.remove_signal_handler(number)
