"""How often the control process looks for cyclic garbage."""

import gc


def collect_seldom() -> None:
    """Look through new objects every 50 000 of them, and through all every hundred million.

    What a tick leaves behind are values without cycles, which are freed at once. With a thousand rollouts the
    default looks through all of them every few ticks, which takes as long as a tick.
    """
    gc.set_threshold(50_000, 20, 100)
