"""Work for several threads, with few items under way however many there are."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_parallel(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    threads: int,
    stop: Callable[[], None],
) -> Generator[Result, None, None]:
    """Results as soon as each is ready; no result is kept once it is handed on.

    Args:
        work: is called with each item.
        items: read only as fast as they are worked on.
        threads: how many items are worked on at once.
        stop: ends the work under way, where it cannot go on or is no longer wanted.

    Raises: what `work` raises, when the rest has ended.
    """
    rest = iter(items)
    with ThreadPoolExecutor(threads) as pool:
        # one more for each thread, so that none waits for a result to be written
        ahead = itertools.islice(rest, 2 * threads)
        waiting: set[Future[Result]] = {pool.submit(work, item) for item in ahead}
        try:
            while waiting:
                ready, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                while ready:
                    result = ready.pop().result()
                    waiting |= {pool.submit(work, item) for item in itertools.islice(rest, 1)}
                    yield result
        except BaseException:  # GeneratorExit too: whoever asked for results has stopped
            for future in waiting:
                future.cancel()
            stop()
            raise
