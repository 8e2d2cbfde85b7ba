"""Padding rows dealt out to the mini-batches of an update.

verl fills a batch up at its end and cuts each rank's stretch of it into mini-batches by position, so that the last one
would hold all the padding, and an optimizer step (Adam's are of one size, whatever the gradient's) would rest on the
few real rows left beside it.
"""

from __future__ import annotations

from collections.abc import Sequence


def spread_padding(padding: Sequence[bool], ranks: int, mini_batches: int) -> list[int]:
    """An order of the rows in which each mini-batch has floor(real / mini_batches) real rows, or one more.

    Every row stays with its rank. Within it the real rows keep their order, so that rows of one prompt stay together,
    and each mini-batch ends with its padding. Without padding the order is as it was.

    Args:
        padding: True for rows that only fill the batch; ranks x mini_batches x k of them, rank by rank.
        ranks: stretches of equal length that the batch is handed out in.
        mini_batches: pieces of equal length that each rank cuts its stretch into; the k-th ones are one mini-batch.

    Raises:
        ValueError: the batch can't be cut like this.
    """
    if ranks < 1 or mini_batches < 1 or len(padding) % (ranks * mini_batches):
        raise ValueError(f"{len(padding)} rows are no {ranks} x {mini_batches} pieces of equal length")
    stretch = len(padding) // ranks
    piece = stretch // mini_batches
    order: list[int] = []
    first = 0  # the mini-batch that is next to get one real row more than others
    for rank in range(ranks):
        places = range(rank * stretch, (rank + 1) * stretch)
        real = [place for place in places if not padding[place]]
        filling = [place for place in places if padding[place]]
        each, rest = divmod(len(real), mini_batches)
        more = {(first + k) % mini_batches for k in range(rest)}
        first = (first + rest) % mini_batches
        for k in range(mini_batches):
            count = each + (k in more)
            order += real[:count] + filling[: piece - count]
            real, filling = real[count:], filling[piece - count :]
    return order
