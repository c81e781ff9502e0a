"""Work on a Dask cluster, for more than one machine.

Workers must see the datasets and the cache under the same paths, e.g. on a shared file system, and
have this package installed. What they finish is in the cache, or fetched at once: a worker that is
killed afterwards takes nothing with it, and what it was doing is begun anew by another. What kills
workers even when it runs alone is given up, and the rest goes on.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from streamnet_plugin.errors import ConfigError, StreamnetError
from streamnet_plugin.wording import count

ADDRESS = "DASK_SCHEDULER_ADDRESS"
"""Environment variable of Dask's own."""
CONNECT_S = 15
_client: ContextVar[Any] = ContextVar("client", default=None)


@contextmanager
def cluster(address: str | None = None) -> Iterator[None]:
    """Inside, `parallel.processes` works on the cluster of this scheduler.

    Args:
        address: e.g. "tcp://host:8786"; None for what `DASK_SCHEDULER_ADDRESS` names, and where it
            names none nothing changes.

    Raises:
        ConfigError: Dask is not installed, nobody answers, or the cluster has no workers.
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
        client.close()


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
        client = Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"no Dask scheduler answers at {address}: {error}",
            remedy="start one with `dask scheduler`, and workers with `dask worker --nworkers auto "
            "--nthreads 1 ADDRESS`.",
        ) from error
    if not client.scheduler_info()["workers"]:
        client.close()
        raise ConfigError(
            f"the Dask cluster at {address} has no workers",
            remedy=f"start some with `dask worker --nworkers auto --nthreads 1 {address}`.",
        )
    return client


@contextmanager
def on_cluster(
    client: Any, work: Iterable[Any], given_up: Callable[[int, StreamnetError], Any]
) -> Iterator[Iterator[Any]]:
    """The results of joblib's delayed calls in their order; an early end takes back the rest.

    `given_up` has the number of a call that kills workers and an error that says so, and makes its
    result.
    """
    calls = list(work)
    futures = [_submitted(client, call) for call in calls]
    try:
        yield _results(client, calls, futures, given_up)
    except BaseException:
        client.cancel(futures)
        raise


def _submitted(client: Any, call: Any) -> Any:
    function, arguments, named = call
    return client.submit(function, *arguments, **named, pure=False)


def _results(
    client: Any,
    calls: Sequence[Any],
    futures: Sequence[Any],
    given_up: Callable[[int, StreamnetError], Any],
) -> Iterator[Any]:
    """In order; each is fetched as soon as it is there, before its worker can be lost.

    Dask blames a worker's death on everything that the worker held. So what was given up gets
    another try, alone, when all the rest is done.
    """
    from distributed import KilledWorker, as_completed

    fetched: dict[str, Any] = {}
    done = as_completed(futures, loop=client.loop)
    for number, future in enumerate(futures):
        while future.key not in fetched:
            ready = next(done, None)
            try:
                if ready is not None:
                    fetched[ready.key] = ready.result()
                else:
                    fetched[future.key] = _submitted(client, calls[number]).result()
            except KilledWorker as error:
                if ready is None:
                    fetched[future.key] = given_up(number, _deadly(error))
        yield fetched.pop(future.key)


def _deadly(error: Any) -> StreamnetError:
    return StreamnetError(
        f"it killed {count(error.allowed_failures + 1, 'worker')} even when it ran alone, the last "
        f"at {error.last_worker.address}",
        remedy="look at that worker's log. Memory is the usual reason: give workers more, or leave "
        "this out.",
    )
