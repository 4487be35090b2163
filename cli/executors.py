"""Where networks are run side by side: in processes of this machine, or on a Dask cluster."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import CancelledError, Executor
from contextlib import contextmanager

import click

import fxpnn
from fxpnn.errors import DataError

ANSWER = 6
"""Seconds in which a scheduler must answer."""


@contextmanager
def executor(workers: int | None, scheduler: str | None) -> Iterator[Executor | None]:
    """Give what runs networks side by side, ``None`` for this process.

    Raises:
        DataError: the scheduler does not answer, its workers are not like this process, or an
            item killed its worker each time.
    """
    if workers is not None and scheduler is not None:
        raise click.UsageError("--workers must stand without --scheduler, which has its own")
    if scheduler is not None:
        yield from _cluster(scheduler)
    elif workers is None:
        yield None
    else:
        from fxpnn.analysis.workers import Workers

        with Workers(workers) as pool:
            yield pool


def _cluster(address: str) -> Iterator[Executor]:
    try:
        from distributed import Client, KilledWorker
        from distributed.comm import CommClosedError
    except ImportError:
        raise DataError("--scheduler needs Dask: pip install 'fxpnn[cluster]'") from None
    try:  # a client waits without end for what listens there but says nothing
        asyncio.run(asyncio.wait_for(_ask(address), ANSWER))
    except Exception as error:  # each protocol refuses an address, and what answers, in its own way
        raise DataError(f"{address}: no scheduler answers there: {_line(error)}") from None
    with Client(address, timeout=ANSWER) as client:
        try:
            client.wait_for_workers(1, timeout=ANSWER)
        except TimeoutError:
            line = f"{address}: must have workers; dask worker {address} starts one"
            raise DataError(line) from None
        for worker, version in client.run(_version).items():
            if version != fxpnn.__version__:
                raise DataError(
                    f"{worker}: must have fxpnn {fxpnn.__version__}, as here, not {version}"
                )
        try:
            yield client.get_executor(pure=False)
        except KilledWorker as error:
            raise DataError(
                f"{address}: an item ended its worker each time: {_line(error)}"
            ) from None
        except (CancelledError, CommClosedError) as error:
            raise DataError(f"{address}: the scheduler went away: {_line(error)}") from None


async def _ask(address: str) -> None:
    """Ask a scheduler who it is."""
    from distributed import Security, rpc

    how = Security().get_connection_args("client")
    async with rpc(address, connection_args=how) as scheduler:
        await scheduler.identity()


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _version() -> str:
    try:
        import fxpnn as there
    except ImportError:
        return "none"
    return there.__version__
