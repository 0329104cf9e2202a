"""Flux's ImageRepositories, ImagePolicies and ImageUpdateAutomations as declarations and environments.

Sources: the specifications of the image reflector and the image automation controller (v1beta2 and v1), and Flux's
guide "Automate image updates to Git".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gitcd.manifests.foreign import Mark, Object, as_map
from gitcd.model.migration import Draft, Drafted, Note
from gitcd.model.reference import ReferenceError as NotAReference
from gitcd.model.reference import with_host
from gitcd.model.site import Form, Found, Site
from gitcd.planning.drafting import (
    Followed,
    NoCounterpartError,
    about_branches,
    any_of,
    free_name,
    in_range,
    literal,
    newest,
    slug,
    whole,
)
from gitcd.planning.flux_claims import (
    Claim,
    Key,
    by_key,
    claims,
    folder,
    is_suspended,
    known,
    marks_below,
    selects,
    work_of,
)
from gitcd.planning.scopes import Pattern, is_manifest

GROUP = "image.toolkit.fluxcd.io"
_SOURCES = "source.toolkit.fluxcd.io"
_NEVER_SCANNED = r"^.*\.sig$"  # what an ImageRepository leaves out by default
_MOST_PATHS = 64
_OF_OPERATORS = {
    "secretRef": "credentials are the operator's; see docs/settings.md",
    "certSecretRef": "certificates are the operator's; see docs/settings.md",
    "proxySecretRef": "proxies are the operator's; see docs/settings.md",
    "serviceAccountName": "credentials are the operator's; see docs/settings.md",
    "insecure": "a registry is asked over https",
    "accessFrom": "has no counterpart: a declaration names its repository itself",
}
_OF_COMMITS = {
    ("git", "commit", "messageTemplate"): "messages come from the operator's templates",
    ("git", "commit", "signingKey"): "signing is the operator's; see docs/settings.md",
    ("git", "commit", "author"): "the author is the operator's setting git.author",
    ("git", "push", "refspec"): "has no counterpart: gitcd pushes to branches only",
    ("git", "push", "options"): "has no counterpart: pull requests are opened by way of the forge",
}
_BY_PULL_REQUEST = {"delivery": {"mode": "PullRequest"}}


@dataclass(slots=True)
class _Flux:
    """What is known while drafting."""

    repositories: Mapping[Key, Object]
    policies: Mapping[Key, Object]
    sources: Mapping[Key, Object]
    found: Mapping[str, Found]
    marked: Mapping[tuple[str, int], Key]  # the policy that marks a site, by its file and number
    drafts: list[Draft] = field(default_factory=list)
    environments: dict[str, dict[str, Any]] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)

    def note(self, each: Object, *messages: str) -> None:
        self.notes += [Note(each.origin, each.title, message) for message in messages]


def draft(objects: Sequence[Object], marks: Sequence[Mark], found: Mapping[str, Found]) -> Drafted:
    """The declarations that follow the same images. `found` is what stands in the files that hold marks."""
    of_images = [each for each in objects if each.group == GROUP]
    flux = _Flux(
        by_key(of_images, "ImageRepository"),
        by_key(of_images, "ImagePolicy"),
        by_key((each for each in objects if each.group == _SOURCES), "GitRepository"),
        found,
        {(mark.path, mark.site): mark.policy for mark in marks},
    )
    for each in flux.repositories.values():
        flux.note(each, *(f"{key}: {text}" for key, text in _OF_OPERATORS.items() if each.at("spec", key)))
    automations = list(by_key(of_images, "ImageUpdateAutomation").values())
    claimed = claims(automations, flux.policies, marks)
    for automation in automations:
        _automation(flux, automation, marks, [each for each in claimed if each.automation is automation])
    flux.notes += about_branches((each, work_of(each, flux.sources).target) for each in automations)
    _declare(flux, claimed)
    for policy in flux.policies.values():
        if all(each.policy is not policy for each in claimed):
            flux.note(policy, "no automation changes anything by it, so nothing is declared")
    used = {each.spec["environment"] for each in flux.drafts}
    environments = tuple(each for name, each in flux.environments.items() if name in used)
    return Drafted(tuple(flux.drafts), environments, tuple(dict.fromkeys(flux.notes)))


def _automation(flux: _Flux, automation: Object, marks: Sequence[Mark], its: Sequence[Claim]) -> None:
    """Tell what of an automation has no counterpart."""
    below = list(marks_below(automation, marks))
    unknown = {mark.policy: mark for mark in reversed(below) if known(flux.policies, mark.policy) is None}
    for key, mark in sorted(unknown.items()):
        text = f"{mark.path}:{mark.line} names the policy {':'.join(key)}, which is not in this repository"
        flux.note(automation, text)
    if not its:
        others = any((policy := known(flux.policies, mark.policy)) and selects(automation, policy) for mark in below)
        nothing = f"nothing below {folder(automation)} is marked with a policy of its namespace"
        flux.note(automation, "what it changes is declared for another automation, too" if others else nothing)
        return
    work = work_of(automation, flux.sources)
    if work.by_pull_request:
        flux.note(automation, f"it pushed to {work.pushed}; gitcd opens pull requests against {work.branch}")
    flux.note(
        automation, *(f"{'.'.join(key)}: {text}" for key, text in _OF_COMMITS.items() if automation.at("spec", *key))
    )


def _declare(flux: _Flux, claimed: Sequence[Claim]) -> None:
    """One declaration for each policy of each automation in each environment, and for each namespace of workloads."""
    folders = {folder(each.automation) for each in claimed}
    # What lies below .gitcd is in the environment that is the whole tree, and could name no other.
    patterns = [Pattern.compile(each) for each in ({"."} if "." in folders else folders)]
    by_place: defaultdict[str, list[Claim]] = defaultdict(list)
    for claim in claimed:
        deepest = max(patterns, key=lambda pattern: pattern.covers(claim.mark.path))
        by_place[deepest.text or "."].append(claim)
    for path, here in sorted(by_place.items()):
        environment = _environment(flux, path, here)
        together: defaultdict[tuple[Key, Key], list[Claim]] = defaultdict(list)
        for each in here:
            keys = ((one.namespace, one.name) for one in (each.policy, each.automation))
            together[next(keys), next(keys)].append(each)
        for _, its in sorted(together.items()):
            _policy(flux, its, environment)


def _environment(flux: _Flux, path: str, its: Sequence[Claim]) -> dict[str, Any]:
    """The environment of a folder; its declarations say themselves how they are delivered unless all do alike."""
    name = free_name(slug(path.rpartition("/")[2]), flux.environments)
    delivery = _BY_PULL_REQUEST if all(work_of(each.automation, flux.sources).by_pull_request for each in its) else {}
    made = {"name": name, "path": path, **delivery, "applier": "external", "markers": True}
    flux.environments[name] = made
    return made


def _policy(flux: _Flux, its: Sequence[Claim], environment: Mapping[str, Any]) -> None:
    """Draft one policy of one automation: one declaration for each namespace whose workloads it changes."""
    automation, policy = its[0].automation, its[0].policy
    try:
        repository = _repository(flux, policy)
        image = with_host(repository.text("spec", "image"))
        followed = _followed(policy, repository, image)
    except (NoCounterpartError, NotAReference) as error:
        flux.note(policy, f"{error}, so nothing is declared")
        return
    flux.note(policy, *followed.notes)
    alone = work_of(automation, flux.sources).by_pull_request and "delivery" not in environment
    interval = repository.text("spec", "interval")
    for namespace, marks in _by_namespace(flux, policy, [each.mark for each in its]).items():
        places = _places(flux, marks)
        spec = {
            "imageRepo": image,
            **followed.spec,
            **({"places": places} if places else {}),
            "environment": environment["name"],
            **_paths(flux, policy, marks),
            **(_BY_PULL_REQUEST if alone else {}),
            **({"interval": interval} if interval else {}),
            **({"suspend": True} if any(map(is_suspended, (automation, repository, policy))) else {}),
        }
        source = Note(policy.origin, policy.title, f"by {automation.title}")
        flux.drafts.append(Draft(namespace, _free(flux, policy.name, namespace, environment["name"]), spec, source))
        flux.note(policy, *_surplus(flux, image, marks))


def _free(flux: _Flux, name: str, namespace: str, environment: str) -> str:
    here = [each for each in flux.drafts if (each.namespace, each.spec["environment"]) == (namespace, environment)]
    return free_name(name, {each.name for each in here})


def _repository(flux: _Flux, policy: Object) -> Object:
    name = policy.text("spec", "imageRepositoryRef", "name")
    namespace = policy.text("spec", "imageRepositoryRef", "namespace") or policy.namespace
    found = known(flux.repositories, (namespace, name))
    if found is None:
        raise NoCounterpartError(f"there is no ImageRepository {namespace}/{name}")
    return found


def _followed(policy: Object, repository: Object, image: str) -> Followed:
    """What a policy chooses, in gitcd's words.

    Raises:
        NoCounterpartError: gitcd cannot choose so.
    """
    pattern, extract = policy.text("spec", "filterTags", "pattern"), policy.text("spec", "filterTags", "extract")
    rule = policy.map("spec", "policy")
    written = {"pin": "Version"} if policy.text("spec", "digestReflectionPolicy") in {"", "Never"} else {}
    excluded = repository.items("spec", "exclusionList")
    deny = any_of(whole(str(each)) for each in excluded or [_NEVER_SCANNED]) if excluded or "semver" not in rule else ""
    if tag := literal(pattern):
        note = () if not written else ("a tag that moves is written with its digest",)
        return Followed({"tag": tag, "pin": "TagAndDigest"}, note)
    if "semver" in rule:
        if extract and extract not in {"$0", "${0}"}:
            raise NoCounterpartError(f"a version that is a part of a tag ({extract} of {pattern!r}) cannot be followed")
        text, notes = in_range(str(as_map(rule["semver"]).get("range", "")))
        bounds = {"allow": whole(pattern) if pattern else "", "deny": deny}
        follow = {"semver": text, **{key: bound for key, bound in bounds.items() if bound}}
        return Followed({"follow": follow, **written}, notes)
    return _ordered(rule, image, whole(pattern) if pattern else ".*", deny, written)


def _ordered(rule: Mapping[str, Any], image: str, match: str, deny: str, written: Mapping[str, Any]) -> Followed:
    """A choice by numbers or by the alphabet, which gitcd does not have: the last one is mostly the newest."""
    name = next((name for name in ("numerical", "alphabetical") if name in rule), "")
    if not name:
        raise NoCounterpartError("it has no policy that is known here")
    if as_map(rule[name]).get("order", "asc") == "desc":
        raise NoCounterpartError(f"a {name} order that descends cannot be followed")
    followed = newest(match, image, f"it took the last tag in {name} order", deny=deny)
    return Followed({**followed.spec, **written}, followed.notes)


def _by_namespace(flux: _Flux, policy: Object, marks: Sequence[Mark]) -> dict[str, list[Mark]]:
    """The marks by the namespace that a declaration must have to own them; those that fit any go with the first."""
    named: defaultdict[str, list[Mark]] = defaultdict(list)
    rest: list[Mark] = []
    for mark in marks:
        site = _site(flux, mark)
        if site and site.workload and site.owner.namespace:
            named[site.owner.namespace].append(mark)
        else:
            rest.append(mark)
    if not named:
        return {policy.namespace or "default": rest}
    first = min(named)
    return {namespace: [*its, *(rest if namespace == first else ())] for namespace, its in sorted(named.items())}


def _site(flux: _Flux, mark: Mark) -> Site | None:
    return flux.found[mark.path].sites[mark.site] if mark.site >= 0 else None


def _places(flux: _Flux, marks: Iterable[Mark]) -> list[dict[str, Any]]:
    """Marked parts in no form that is known: each is named."""
    alone = [mark for mark in marks if (site := _site(flux, mark)) is None or site.form is Form.PLACE]
    return [
        {"file": mark.path, "pointer": mark.pointer, "format": mark.part}
        | ({"document": mark.document} if mark.document else {})
        for mark in alone
        if mark.part in {"tag", "digest"}
    ]


def _paths(flux: _Flux, policy: Object, marks: Iterable[Mark]) -> dict[str, list[str]]:
    paths = sorted({mark.path for mark in marks})
    for path in (path for path in paths if not is_manifest(path)):
        flux.note(
            policy,
            f"{path} is no file that gitcd changes: it ends neither in .yaml nor in .yml and is no Kustomization, or "
            "it steers a forge",
        )
    if len(paths) <= _MOST_PATHS:
        return {"paths": paths}
    flux.note(policy, f"it is marked in {len(paths)} files: gitcd looks through the whole environment")
    return {}


def _surplus(flux: _Flux, image: str, marks: Sequence[Mark]) -> Iterator[str]:
    """What gitcd would change in the same files besides: unmarked, or marked with another policy."""
    marked = {(mark.path, mark.site) for mark in marks}
    for mark in marks:
        site = _site(flux, mark)
        if site and site.repository and str(site.repository) != image:
            yield f"{mark.path}:{mark.line} holds {site.shown}, another image, which gitcd leaves alone"
    for path in sorted({mark.path for mark in marks}):
        for number, site in enumerate(flux.found[path].sites):
            other = flux.marked.get((path, number))
            free = site.workload and not other
            if free or str(site.repository) != image or (path, number) in marked:
                continue
            if other:
                text = f"marked with the policy {':'.join(other)}, and gitcd moves neither (Conflict)"
                yield f"{site.where} holds {site.shown} too, {text}: put them into files of their own"
            else:
                yield f"{site.where} holds {site.shown} too, without its mark, and gitcd changes it as well"
