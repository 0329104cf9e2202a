"""How a forge's refusal travels inside this package: raised by an adapter, a value as soon as it leaves."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from gitcd.model.pull import ForgeFailure, Trouble

Self = TypeVar("Self")
Given = ParamSpec("Given")
Answer = TypeVar("Answer")


class ForgeError(Exception):
    """What went wrong, and the HTTP status that said so; 0 where no answer came.

    `unclear`: the request may have been carried out all the same. `exists`: there is one already. `code` is the forge's
    own name for what is wrong, where it has names.
    """

    def __init__(self, failure: ForgeFailure, *, status: int = 0) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.status = status
        self.unclear = False
        self.exists = False
        self.code = ""

    @property
    def trouble(self) -> Trouble:
        return self.failure.trouble


def refusal(
    trouble: Trouble, message: str, remedy: str = "", *, status: int = 0, retry_after: float | None = None
) -> ForgeError:
    return ForgeError(ForgeFailure(trouble, message, remedy, retry_after), status=status)


def reworded(error: ForgeError, trouble: Trouble, remedy: str = "") -> ForgeError:
    """The same answer, read as what it means where it came."""
    return refusal(trouble, error.failure.message, remedy, status=error.status)


def valued(
    method: Callable[Concatenate[Self, Given], Answer],
) -> Callable[Concatenate[Self, Given], Answer | ForgeFailure]:
    """Let a method return the failure that it would raise."""

    @wraps(method)
    def call(self: Self, /, *args: Given.args, **kwargs: Given.kwargs) -> Answer | ForgeFailure:
        try:
            return method(self, *args, **kwargs)
        except ForgeError as error:
            return error.failure

    return call
