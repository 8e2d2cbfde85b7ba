"""A worker thread around a batch decoder: rows join the running batch as soon as a place is free."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import torch

from aflow_verl.errors import ModelUnavailable
from aflow_verl.models.decoding import BatchDecoder, Row


@dataclass(frozen=True, slots=True)
class _Request:
    row: Row
    done: Future[None]


class DecodingThread:
    """``max_batch`` rows decode together; more wait in order of arrival. ``threads``: PyTorch's, None leaves them."""

    def __init__(self, decoder: BatchDecoder, *, max_batch: int, threads: int | None = None) -> None:
        self._decoder = decoder
        self._max_batch = max_batch
        self._threads = threads
        self._waiting: deque[_Request] = deque()
        self._wake = threading.Condition()
        self._closed = False
        self._worker = threading.Thread(target=self._work, name="local-model", daemon=True)
        self._worker.start()

    async def decode(self, row: Row) -> None:
        """Returns when the row is finished. Raises ``ModelUnavailable`` after ``close`` or when the model fails."""
        request = _Request(row, Future())
        with self._wake:
            if self._closed:
                raise ModelUnavailable("the local model is closed", retryable=False)
            self._waiting.append(request)
            self._wake.notify()
        await asyncio.wrap_future(request.done)

    async def close(self) -> None:
        """Stop the worker after its current token; rows in flight fail."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        await asyncio.to_thread(self._worker.join)

    def _work(self) -> None:
        if self._threads:
            torch.set_num_threads(self._threads)
        active: list[_Request] = []
        while (admitted := self._next_requests(active)) is not None:
            active += admitted
            try:
                finished = self._decoder.admit([request.row for request in admitted]) if admitted else []
                finished += self._decoder.step()
            except Exception as broken:  # whatever torch raises: the callers learn it, the worker lives on
                self._decoder.reset()
                _fail(active, ModelUnavailable(f"the local model failed: {broken}"))
                active = []
                continue
            active = _deliver(active, finished)
        _fail([*active, *self._waiting], ModelUnavailable("the local model is closed", retryable=False))

    def _next_requests(self, active: list[_Request]) -> list[_Request] | None:
        """Requests that fit into the batch now; waits while there is nothing to do; None once closed."""
        with self._wake:
            self._wake.wait_for(lambda: self._closed or self._waiting or active)
            if self._closed:
                return None
            room = self._max_batch - len(active)
            return [self._waiting.popleft() for _ in range(min(room, len(self._waiting)))]


def _deliver(active: list[_Request], finished: list[Row]) -> list[_Request]:
    """Answer the finished requests; returns those still running."""
    done = {id(row) for row in finished}
    for request in active:
        if id(request.row) in done and request.done.set_running_or_notify_cancel():
            request.done.set_result(None)
    return [request for request in active if id(request.row) not in done]


def _fail(requests: Sequence[_Request], error: ModelUnavailable) -> None:
    for request in requests:
        if request.done.set_running_or_notify_cancel():
            request.done.set_exception(error)
