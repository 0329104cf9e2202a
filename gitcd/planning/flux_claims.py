"""Which automation of Flux changes which marked scalar, and by which policy."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gitcd.manifests.foreign import Mark, Object
from gitcd.planning.drafting import matches_selector
from gitcd.planning.scopes import Pattern

Key = tuple[str, str]  # namespace and name


@dataclass(frozen=True, slots=True)
class Claim:
    """A mark that an automation changes by a policy."""

    automation: Object
    policy: Object
    mark: Mark


@dataclass(frozen=True, slots=True)
class Work:
    """What an automation works on: the address of a repository, the branch that is read, and the one pushed to."""

    repository: str
    branch: str
    pushed: str

    @property
    def target(self) -> tuple[str, str]:
        return self.repository, self.branch

    @property
    def by_pull_request(self) -> bool:
        """Whether somebody has to merge what it pushes."""
        return bool(self.branch and self.pushed) and self.branch != self.pushed


def work_of(automation: Object, sources: Mapping[Key, Object]) -> Work:
    """Where it works; `sources` are the GitRepositories."""
    namespace = automation.text("spec", "sourceRef", "namespace") or automation.namespace
    name = automation.text("spec", "sourceRef", "name")
    source = known(sources, (namespace, name))
    branch = automation.text("spec", "git", "checkout", "ref", "branch")
    url, its_branch = (source.text("spec", "url"), source.text("spec", "ref", "branch")) if source else ("", "")
    pushed = automation.text("spec", "git", "push", "branch")
    return Work(url or f"GitRepository {name}", branch or its_branch, pushed)


def by_key(objects: Iterable[Object], kind: str) -> dict[Key, Object]:
    return {(each.namespace, each.name): each for each in objects if each.kind == kind}


def known(objects: Mapping[Key, Object], key: Key) -> Object | None:
    """The object; one that names no namespace fits any, as a kustomization gives it one."""
    return objects.get(key) or objects.get(("", key[1]))


def folder(automation: Object) -> str:
    """The folder below which it changes marks; `.` for the whole repository."""
    return posixpath.normpath(posixpath.join("/", automation.text("spec", "update", "path"))).strip("/") or "."


def marks_below(automation: Object, marks: Iterable[Mark]) -> Iterator[Mark]:
    """The marks of policies in its namespace. That of a name is none: gitcd leaves names as they are."""
    covers = Pattern.compile(folder(automation)).covers
    for mark in marks:
        if mark.part != "name" and automation.namespace in {"", mark.policy[0]} and covers(mark.path) >= 0:
            yield mark


def claims(automations: Sequence[Object], policies: Mapping[Key, Object], marks: Iterable[Mark]) -> list[Claim]:
    """Every mark that is changed, once: where several do, by one that is not suspended, and of the deepest folder."""
    order = sorted(automations, key=lambda each: (is_suspended(each), -len(folder(each).strip("."))))
    found: dict[tuple[str, int, str], Claim] = {}
    for automation in order:
        for mark in marks_below(automation, marks):
            policy = known(policies, mark.policy)
            if policy and selects(automation, policy):
                found.setdefault((mark.path, mark.document, mark.pointer), Claim(automation, policy, mark))
    return [found[key] for key in sorted(found)]


def is_suspended(each: Object) -> bool:
    return each.at("spec", "suspend") is True


def selects(automation: Object, policy: Object) -> bool:
    return matches_selector(automation.map("spec", "policySelector"), policy.map("metadata", "labels"))
