"""Work in several processes that Ctrl-C ends at once, without leftovers."""

from __future__ import annotations

import signal
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import cv2
from joblib import Parallel


@contextmanager
def processes(
    work: Iterable[Any], jobs: int, stopped: Callable[[], None]
) -> Iterator[Iterator[Any]]:
    """The results of joblib's delayed calls in their order, `jobs` at a time.

    What ends the block early kills the workers and waits for them to be gone; then `stopped`
    clears away what they had begun.
    """
    with warnings.catch_warnings():
        # Interrupted, joblib says that its workers stopped early; that is what was asked for.
        warnings.simplefilter("ignore", UserWarning)
        done = Parallel(n_jobs=jobs, return_as="generator")(work)
        try:
            yield done
        except BaseException:
            done.close()
            stopped()
            raise


def be_one_of_several() -> None:
    """What a worker process does first."""
    cv2.setNumThreads(1)  # more would only compete
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which stops us
