"""Work on a Dask cluster, for more than one machine.

Workers must see the datasets and the cache under the same paths, e.g. on a shared file system, and
have this package installed. What they finish is in the cache, or fetched at once: a worker that is
killed afterwards takes nothing with it, and what it was doing is begun anew by another. What kills
workers even when it runs alone is given up, and the rest goes on. Where no worker comes any more,
or the scheduler is lost, the run ends with an error.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from streamnet_plugin.errors import ConfigError, StreamnetError
from streamnet_plugin.wording import count

log = logging.getLogger(__name__)
ADDRESS = "DASK_SCHEDULER_ADDRESS"
"""Environment variable of Dask's own."""
CONNECT_S = 15
LOOK_S = 5.0
NO_WORKERS_TOLD_S = 30.0
"""Without workers for so long is told: a nanny has a new one there within seconds."""
NO_WORKERS_END_S = 1800.0
"""A cluster manager's queue may take minutes to give workers, new ones or the first; where it takes
longer, its jobs have mostly failed, and nobody waits for ever."""
START_WORKERS = "start some with `dask worker --nworkers auto --nthreads 1 ADDRESS`"
AGAIN = "finished videos stay cached, run the same command again"
_client: ContextVar[Any] = ContextVar("client", default=None)


@contextmanager
def cluster(address: str | None = None) -> Iterator[None]:
    """Inside, `parallel.processes` works on the cluster of this scheduler.

    Args:
        address: e.g. "tcp://host:8786"; None for what `DASK_SCHEDULER_ADDRESS` names, and where it
            names none nothing changes.

    Raises:
        ConfigError: Dask is not installed, or nobody answers.
    """
    address = address or os.environ.get(ADDRESS)
    if not address:
        yield
        return
    client = _connected(address)
    token = _client.set(client)
    try:
        yield
    finally:
        _client.reset(token)
        _close(client)


def _close(client: Any) -> None:
    """Without Dask's line about a scheduler that it was still looking for: ours says it."""
    dask_log = logging.getLogger("distributed.client")
    level = dask_log.level
    dask_log.setLevel(logging.CRITICAL)
    try:
        client.close()
    finally:
        dask_log.setLevel(level)


def current_client() -> Any:
    """The cluster that work goes to; None outside of `cluster`."""
    return _client.get()


def _connected(address: str) -> Any:
    try:
        from distributed import Client
    except ImportError as error:
        raise ConfigError(
            f"a Dask cluster at {address} is named, and Dask is not installed",
            remedy='pip install "streamnet-rppg[dask]", here and on the workers.',
        ) from error
    try:
        return Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"no Dask scheduler answers at {address}: {error}",
            remedy="start one with `dask scheduler`, and workers with `dask worker --nworkers auto "
            "--nthreads 1 ADDRESS`.",
        ) from error


@contextmanager
def on_cluster(
    client: Any, work: Iterable[Any], given_up: Callable[[int, StreamnetError], Any]
) -> Iterator[Iterator[Any]]:
    """The results of joblib's delayed calls in their order; an early end takes back the rest.

    `given_up` has the number of a call that kills workers and an error that says so, and makes its
    result.

    Raises:
        StreamnetError: the scheduler is lost, or there are no workers.
    """
    from distributed import CancelledError

    calls = list(work)
    futures: list[Any] = []
    watch = _Watch(client, futures)
    try:
        futures += [_submitted(client, call) for call in calls]
        with watch:
            yield _results(client, calls, futures, given_up)
    except CancelledError as error:
        raise watch.error or _lost() from error
    except BaseException:
        if client.status == "running":
            client.cancel(futures)
        raise


def _submitted(client: Any, call: Any) -> Any:
    if client.status not in ("running", "connecting"):  # lost since the work before
        raise _lost()
    function, arguments, named = call
    return client.submit(function, *arguments, **named, pure=False)


def _lost() -> StreamnetError:
    return StreamnetError(
        "the connection to the Dask scheduler was lost, or it was restarted",
        remedy=f"look at its log, start it if it has ended; {AGAIN}.",
    )


class _Watch:
    """Looks in a thread of its own whether there are workers; Dask waits for some for ever.

    Attributes:
        error: why it took the work back; None where it did not.
    """

    def __init__(self, client: Any, futures: Sequence[Any]) -> None:
        self.client, self.futures = client, futures
        self.error: StreamnetError | None = None
        self._over = threading.Event()

    def __enter__(self) -> None:
        # Nobody waits for it: it may be asking a scheduler that does not answer.
        threading.Thread(target=self._watch, daemon=True).start()

    def __exit__(self, *error: object) -> None:
        self._over.set()

    def _watch(self) -> None:
        since, told = time.monotonic(), False
        while not self._over.wait(LOOK_S):
            if self._goes_on():
                since, told = time.monotonic(), False
                continue
            waited = time.monotonic() - since
            if waited >= NO_WORKERS_END_S:
                self.error = _deserted()
                self.client.cancel(self.futures)  # whoever waits for one hears of it
                return
            if waited >= NO_WORKERS_TOLD_S and not told:
                told = True
                log.warning(
                    "the Dask cluster has had no workers for %.0f s; %s. After %.0f minutes "
                    "without any this run ends",
                    waited, START_WORKERS, NO_WORKERS_END_S / 60,
                )  # fmt: skip

    def _goes_on(self) -> bool:
        try:
            return all(f.done() for f in self.futures) or bool(self.client.nthreads())
        except Exception:  # the connection is lost, or the client is closed: Dask tells the others
            return self.client.status != "running"


def _deserted() -> StreamnetError:
    return StreamnetError(
        f"the Dask cluster has had no workers for {NO_WORKERS_END_S / 60:.0f} minutes",
        remedy=f"{START_WORKERS}, or look why its manager gives none; {AGAIN}.",
    )


def _results(
    client: Any,
    calls: Sequence[Any],
    futures: list[Any],
    given_up: Callable[[int, StreamnetError], Any],
) -> Iterator[Any]:
    """In order; each is fetched as soon as it is there, before its worker can be lost.

    Dask blames a worker's death on everything that the worker held. So what was given up gets
    another try, alone, when all the rest is done.
    """
    from distributed import KilledWorker, as_completed

    fetched: dict[str, Any] = {}
    done = as_completed(futures, loop=client.loop)
    for number, future in enumerate(futures[: len(calls)]):
        while future.key not in fetched:
            ready = next(done, None)
            try:
                if ready is not None:
                    fetched[ready.key] = _fetched(ready)
                else:
                    futures.append(_submitted(client, calls[number]))
                    fetched[future.key] = _fetched(futures[-1])
            except KilledWorker as error:
                if ready is None:
                    fetched[future.key] = given_up(number, _deadly(error))
        yield fetched.pop(future.key)


def _fetched(future: Any) -> Any:
    try:
        return future.result()
    except OSError as error:
        if future.status == "error":  # the call's own
            raise
        raise _lost() from error


def _deadly(error: Any) -> StreamnetError:
    return StreamnetError(
        f"it killed {count(error.allowed_failures + 1, 'worker')} even when it ran alone, the last "
        f"at {error.last_worker.address}",
        remedy="look at that worker's log. Memory is the usual reason: give workers more, or leave "
        "this out.",
    )
