"""The failures of the project, classified once, where they cross a boundary.

* ``UserError``: bad input of the person who runs us; one line, exit code 2, no traceback.
* ``InvalidAction``: the policy's reply or the workflow it makes is unusable; data for the learner, never a crash.
* ``InfrastructureError``: a model API, sandbox or Ray failed; retried and reported, never scored.
"""

from __future__ import annotations

from typing import Any


class AflowVerlError(Exception):
    """Base of every error that this project raises on purpose."""


class UserError(AflowVerlError):
    """Something the user wrote or lacks. The message says what, where and what to do, in one line."""


class RecipeError(UserError):
    """A recipe that can't be honoured: unknown key, wrong type, impossible combination."""


class InvalidAction(AflowVerlError):
    """A reply that makes no runnable workflow. ``kind`` is a short stable tag, the message is readable."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind

    def __reduce__(self) -> tuple[Any, ...]:  # Exception would hand on the message alone
        return type(self), (self.kind, str(self))


class InfrastructureError(AflowVerlError):
    """Something outside the workflow failed. ``retryable`` says whether trying again can help."""

    def __init__(self, message: str, *, retryable: bool = True) -> None:
        super().__init__(message)
        self.retryable = retryable


class SandboxUnavailable(InfrastructureError):
    """The sandbox itself could not run the code; says nothing about the code."""


class ModelUnavailable(InfrastructureError):
    """A model could not answer: network, rate limit, overload, server fault.

    ``kind``, for counting: ``rate_limited`` (429), ``overloaded`` (503, 529), ``server_error`` (other 5xx),
    ``timeout``, ``connection`` (refused, reset, closed half-way), ``malformed`` (no readable reply), ``circuit_open``
    or ``other``.
    ``retry_after_s``: the wait that the server asks for, if it does.
    """

    def __init__(
        self, message: str, *, retryable: bool = True, kind: str = "other", retry_after_s: float | None = None
    ) -> None:
        super().__init__(message, retryable=retryable)
        self.kind = kind
        self.retry_after_s = retry_after_s

    def __reduce__(self) -> tuple[Any, ...]:  # keyword arguments are lost otherwise on the way through Ray
        return _rebuild, (type(self), str(self), self.retryable, self.kind, self.retry_after_s)


class LostReply(ModelUnavailable):
    """The call was sent, and its reply was not received whole: the model may have answered, and may bill it."""


class BudgetExhausted(UserError):
    """The next call could cross the budget of the recipe. Everything done so far is kept; a larger budget goes on."""


class CriticUnavailable(InfrastructureError):
    """The copy of the critic that scores on demand could not answer: its process is gone, or it has other weights."""

    def __reduce__(self) -> tuple[Any, ...]:  # the keyword argument is lost otherwise on the way through Ray
        return _critic_unavailable, (str(self), self.retryable)


class StorageError(InfrastructureError):
    """The store could not write or read: disk full, read-only or failing."""


def _critic_unavailable(message: str, retryable: bool) -> CriticUnavailable:
    return CriticUnavailable(message, retryable=retryable)


def _rebuild(
    kind: type[ModelUnavailable], message: str, retryable: bool, tag: str, retry_after_s: float | None
) -> ModelUnavailable:
    return kind(message, retryable=retryable, kind=tag, retry_after_s=retry_after_s)
