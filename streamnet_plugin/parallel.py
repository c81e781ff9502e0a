"""Work in several processes, here or on a Dask cluster, that Ctrl-C ends without leftovers."""

from __future__ import annotations

import signal
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import cv2
from joblib import Parallel

from streamnet_plugin.cluster import current_client, on_cluster
from streamnet_plugin.errors import StreamnetError


def _raised(number: int, error: StreamnetError) -> Any:
    raise error


@contextmanager
def processes(
    work: Iterable[Any],
    jobs: int,
    stopped: Callable[[], None],
    given_up: Callable[[int, StreamnetError], Any] = _raised,
) -> Iterator[Iterator[Any]]:
    """The results of joblib's delayed calls in their order, `jobs` at a time.

    Inside `cluster` they run there, as many at a time as it has workers, and see its folders. What
    ends the block early kills the workers, or takes back what a cluster has not begun; then
    `stopped` clears away what they had begun. What kills a cluster's workers is given up:
    `given_up` makes its result, see `on_cluster`; left out, it is an error.
    """
    client = current_client()
    if client is not None:
        try:
            with on_cluster(client, work, given_up) as done:
                yield done
        except BaseException:
            stopped()
            raise
        return
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
    if threading.current_thread() is threading.main_thread():  # Dask works in others
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which stops us
