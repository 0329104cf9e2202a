"""Which sites a declaration owns, and why it does not own the others that come near."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from gitcd.model.declaration import ContainerVersion, Identity
from gitcd.model.registry import Failure
from gitcd.model.site import Form, Owner, Refusal, Service, Site
from gitcd.planning.scopes import Reach


@dataclass(frozen=True, slots=True)
class Declared:
    """A valid declaration with its identity and the files within its reach; `alone`: its file holds nothing else."""

    declaration: ContainerVersion
    identity: Identity
    reach: Reach
    alone: bool = False


UNSELECTED = "the declaration has neither spec.selector nor spec.workload"
MOST_PASSED = 50  # kept for each declaration: many may share one image, and each would hold all the others


@dataclass(frozen=True, slots=True)
class NearMiss:
    """A place that was looked at and not taken, and why."""

    where: str
    what: str
    reason: str

    def __str__(self) -> str:
        return f"{self.where} {self.what}: {self.reason}"


@dataclass(slots=True)
class Surveyed:
    """All that the manifests say about one declaration.

    `passed` are sites that its selection leaves out, `noted` what else came near; `near` says both in words, which are
    made only for those who ask. `looked_into` are the files in which something of its interest stands, be they within
    its reach or not; `sought_anew` is set where all files had to be searched, because these held nothing.
    """

    declared: Declared
    sites: list[Site] = field(default_factory=list)
    services: list[Service] = field(default_factory=list)
    passed: list[Site] = field(default_factory=list)
    noted: list[NearMiss] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    left_alone: list[Site] = field(default_factory=list)  # other containers of the same repository
    looked_into: list[str] = field(default_factory=list)
    sought_anew: bool = False

    @property
    def image_sites(self) -> list[Site]:
        return [site for site in self.sites if site.repository is not None]

    @property
    def files(self) -> list[str]:
        return sorted({site.path for site in self.sites})

    @property
    def near(self) -> list[NearMiss]:
        passed = (NearMiss(site.where, _described(site), _mismatch(self.declared, site)) for site in self.passed)
        return [*passed, *self.noted]

    def in_order(self) -> Surveyed:
        """The same, in one order however the files were read: by place."""
        sorts = (self.sites, self.services, self.warnings, self.failures, self.refusals)
        if not any(len(each) > 1 for each in sorts):
            return self  # nearly always, and ten thousand copies weigh
        return replace(
            self,
            sites=sorted(self.sites, key=lambda site: (site.path, site.document, site.line, site.pointer)),
            services=sorted(self.services, key=lambda service: (service.path, service.line)),
            warnings=sorted(self.warnings),
            failures=sorted(self.failures, key=lambda failure: (failure.transient, failure.reason, failure.message)),
            refusals=sorted(self.refusals, key=lambda refusal: (refusal.path, refusal.line, refusal.reason)),
        )

    def take(self, site: Site) -> None:
        """Own the site, or note why not."""
        honoured = self.declared.reach.markers
        if site.form is Form.MARKED and not honoured:
            return
        if not _mismatch(self.declared, site):
            self._take_container(site)
        elif len(self.passed) < MOST_PASSED:
            self.passed.append(site)

    def take_parts(self, sites: Sequence[Site]) -> None:
        """Own what is marked, among the sites of one file, as images there are that it owns: tags and digests alone."""
        if self.declared.reach.markers:
            paths = {site.path for site in sites}
            policies = {site.marker for site in self.image_sites if site.path in paths} - {""}
            self.sites += [site for site in sites if site.form is Form.PLACE and site.marker in policies]

    def place(self, site: Site) -> None:
        """Own what the declaration names, whatever is known of that spot otherwise."""
        self.sites = [each for each in self.sites if not each.marked or each.spot != site.spot]
        self.sites.append(site)

    def _take_container(self, site: Site) -> None:
        spec = self.declared.declaration.spec
        same_repository = site.repository == spec.repository
        left = site.marked and not self.declared.reach.markers
        named = spec.container is None or not site.workload or site.container == spec.container.name
        if same_repository and named and left:
            reason = "left to its $imagepolicy marker, as the environment does not say `markers: true`"
            self.refusals.append(Refusal(site.path, site.line, reason))
        elif same_repository and named:
            self.sites.append(site)
        elif same_repository and spec.container:
            self._leave_alone(site)
        elif named:
            self.failures.append(
                Failure(
                    "RepositoryMismatch",
                    f"{site.where}: container {site.container} of {site.owner} runs "
                    f"{site.repository.familiar if site.repository else '?'}, but imageRepo is {spec.image_repo}",
                    "Correct spec.imageRepo or spec.container.name, or the manifest.",
                ),
            )

    def _leave_alone(self, site: Site) -> None:
        if all(site.spot != other.spot for other in self.left_alone):
            self.left_alone.append(site)


def warn_left_alone(surveyed: Sequence[Surveyed]) -> None:
    """Warn of other containers of a declaration's repository, but for those that another declaration owns."""
    owned = {site.spot for each in surveyed for site in each.sites}
    for each in (each for each in surveyed if each.image_sites):
        wanted = each.declared.declaration.spec.container
        each.warnings += [
            f"{site.where}: container {site.container} of {site.owner} runs the same repository, "
            f"but spec.container.name is {wanted.name if wanted else ''}; it is left alone"
            for site in each.left_alone
            if site.spot not in owned
        ]


def _mismatch(declared: Declared, site: Site) -> str:
    """Why the declaration's workload selection leaves this site out; empty when it does not."""
    if not site.workload:
        return ""
    spec, owner, namespace = declared.declaration.spec, site.owner, declared.declaration.namespace
    if owner.namespace not in {"", namespace}:
        return f"its namespace is {owner.namespace}, the declaration's is {namespace}"
    if spec.workload:
        wanted = f"{spec.workload.kind}/{spec.workload.name}"
        return "" if wanted == str(owner) else f"spec.workload is {wanted}"
    if spec.selector:
        return "" if owner.matches(spec.selector) else _label_reason(spec.selector, owner)
    return "" if site.marked and declared.reach.markers else UNSELECTED


def _label_reason(selector: dict[str, str], owner: Owner) -> str:
    wanted = ", ".join(f"{key}={value}" for key, value in sorted(selector.items()))
    present = ", ".join(f"{key}={value}" for key, value in sorted({**owner.labels, **owner.pod_labels}.items()))
    return f"spec.selector asks for {wanted}; its labels are {present or 'none'}"


def _described(site: Site) -> str:
    if site.workload:
        kind = "init container" if site.init else "container"
        return f"{site.owner} {kind} {site.container} ({site.shown})"
    return f"{site.form} {site.shown}"
