"""What the forges with a REST API for one repository have in common."""

from __future__ import annotations

from abc import abstractmethod

from gitcd.forge.adapter import Adapter, dig, text
from gitcd.forge.failures import ForgeError
from gitcd.forge.http import Client
from gitcd.model.pull import Trouble


class RestAdapter(Adapter):
    """An adapter whose requests all begin with the same path."""

    tip: tuple[str, ...]  # where an answer about a branch names its commit

    def __init__(self, client: Client, repository: str, root: str) -> None:
        self.repository = repository
        self._client = client
        self._root = root

    @property
    def traffic(self) -> tuple[int, int]:
        return self._client.requests, self._client.writes

    def head_of(self, branch: str) -> str:
        try:
            return text(dig(self._client.get(self._branch(branch)), *self.tip))
        except ForgeError as error:
            if error.trouble is Trouble.NOT_FOUND:
                return ""
            raise

    def delete_branch(self, branch: str) -> None:
        self._client.send("DELETE", self._branch(branch))

    @abstractmethod
    def _branch(self, branch: str) -> str:
        """The path of a branch."""
