"""When Python looks for objects that hold each other: seldom, and at what is new once a second."""

from __future__ import annotations

import asyncio
import gc

THRESHOLDS = (100_000, 50, 3600)
"""Objects have few cycles: looking for some as often as Python does costs a tenth of the time of every write. To look
at all objects takes 0.9 s with 5,000 nodes connected, in which nothing else is done, and found nothing when they had
joined: at most once an hour."""
YOUNG_S = 1.0
"""Python looks when there are so many more objects than before. Where as many go as come, as with heartbeats, new ones
pile up meanwhile, and looking at all of them takes up to 0.2 s in which nothing else is done. So those that are new are
looked at each second, once: what an agent's streams wait with is new with each message and goes with the next, and to
look at it twice took as long again."""


def configure() -> None:
    """After everything was read that stays: it is not looked at again."""
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)


async def collect() -> None:
    while True:
        await asyncio.sleep(YOUNG_S)
        gc.collect(1)
