"""The failures of the project, classified once, where they cross a boundary.

* ``UserError``: bad input of the person who runs us; one line, exit code 2, no traceback.
* ``InvalidAction``: the policy's reply or the workflow it makes is unusable; data for the learner, never a crash.
* ``InfrastructureError``: a model API, sandbox or Ray failed; retried and reported, never scored.
"""

from __future__ import annotations


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


class InfrastructureError(AflowVerlError):
    """Something outside the workflow failed. ``retryable`` says whether trying again can help."""

    def __init__(self, message: str, *, retryable: bool = True) -> None:
        super().__init__(message)
        self.retryable = retryable


class SandboxUnavailable(InfrastructureError):
    """The sandbox itself could not run the code; says nothing about the code."""


class ModelUnavailable(InfrastructureError):
    """A model could not answer: network, rate limit, overload, server fault."""


class StorageError(InfrastructureError):
    """The store could not write or read: disk full, read-only or failing."""
