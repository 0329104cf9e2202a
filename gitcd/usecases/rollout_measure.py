"""The checks of a rollout, carried out one measurement at a time: Jobs, Services over HTTP, queries to Prometheus."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from gitcd import redact
from gitcd.cluster.api import DeclinedError
from gitcd.cluster.jobs import Check, Jobs, Owner
from gitcd.cluster.objects import Objects
from gitcd.cluster.prometheus import Prometheus
from gitcd.cluster.services import Services
from gitcd.errors import RefusedError
from gitcd.model import times
from gitcd.model.declaration import Spec
from gitcd.model.reference import Reference
from gitcd.model.reference import ReferenceError as NotAReference
from gitcd.model.registry import Answers, Failure, Query
from gitcd.model.strategy import Verify
from gitcd.model.verdict import Measurement, Verdict
from gitcd.rollout.looks import Look
from gitcd.usecases.rollout_means import Question

Resolve = Callable[[Verify], str | Failure]
Ask = Callable[[Sequence[Query]], Answers]

_LATEST = "latest"


def by_tag(verify: Verify) -> str:
    """The image of a check as it is declared, where no registry is asked for its digest."""
    return f"{verify.image}:{verify.tag}" if verify.tag else verify.image


def by_digest(ask: Ask) -> Resolve:
    """Have a registry say which image the tag of a check names: a registry that the operator does not allow is none."""

    def resolve(verify: Verify) -> str | Failure:
        try:
            reference = Reference.parse(by_tag(verify))
        except NotAReference as error:
            return Failure("NoImage", str(error))
        repository, wanted = reference.repository, reference.digest or reference.tag or _LATEST
        answer = ask([Query(repository, tags=frozenset({wanted}))]).get(repository, wanted)
        return answer if isinstance(answer, Failure) else f"{repository}@{answer.digest}"

    return resolve


@dataclass(frozen=True, slots=True)
class Subject:
    """What is checked: one release of a declaration.

    `round` tells this try of the rollout from others of the same digest: within one, a Job that has run is not run
    again. `service` is the one behind which the new version alone stands, where there is such a one. `limit` is how
    long a check may take.
    """

    namespace: str
    app: str
    version: str
    digest: str
    commit: str
    round: str
    limit: timedelta
    service: str = ""
    owner: Owner | None = None

    @property
    def environment(self) -> Mapping[str, str]:
        """What the container of a Job is told."""
        return {
            "GITCD_NAMESPACE": self.namespace,
            "GITCD_APP": self.app,
            "GITCD_VERSION": self.version,
            "GITCD_DIGEST": self.digest,
            "GITCD_COMMIT": self.commit,
            "GITCD_SERVICE": self.service,
        }


def preview(spec: Spec) -> str:
    """The Service behind which the new version alone stands while it is checked; empty where there is none."""
    strategy = spec.strategy
    if strategy.blue_green is not None:
        return strategy.blue_green.verification_service_name
    return strategy.canary.http_route.canary_service if strategy.canary is not None else ""


def is_own_cluster(server: str, environ: Mapping[str, str]) -> bool:
    """Whether an API server is that of the cluster that this process runs in, and addresses of Services hold here."""
    own = environ.get("KUBERNETES_SERVICE_HOST", "")
    return bool(own) and urlsplit(server).hostname == own.strip("[]").lower()


@dataclass(frozen=True, slots=True)
class _Running:
    check: Check
    uid: str
    since: datetime


@dataclass(slots=True)
class Measuring:
    """Takes the measurements of one rollout.

    `prometheus` is the operator's; None where there is none. `resolve` answers the image of a Job, by its digest where
    a registry is asked.
    """

    objects: Objects
    prometheus: Prometheus | None = None
    resolve: Resolve = by_tag
    _running: dict[str, _Running] = field(default_factory=dict)
    _services: Services | None = None

    def answer(self, question: Question) -> Measurement | None:
        """The measurement that a rollout asks for; see `measure`."""
        release = question.release
        identity, spec = release.identity, release.spec
        owner = Owner(identity.name, question.owner) if question.owner else None
        subject = Subject(
            identity.namespace,
            identity.name,
            release.version,
            release.digest,
            release.commit,
            question.round,
            spec.timeouts.verify,
            preview(spec),
            owner,
        )
        return self.measure(subject, question.key, question.verify, question.number, question.now)

    def measure(self, subject: Subject, key: str, verify: Verify, number: int, now: datetime) -> Measurement | None:
        """One measurement of the check of that key, the one after `number` others; None while it is not there yet.

        What takes its time is asked for again with the same `number` until it is there. It does not wait but for an
        answer over HTTP, and that for seconds.

        Raises:
            TransientError: the cluster is in trouble.
        """
        try:
            look = self._look(subject, f"{key}/{number}", verify, now)
        except RefusedError as refusal:
            look = Look.unclear(_refused(refusal))
        if look is None:
            return None
        return Measurement(now, look.verdict, redact.clean(look.evidence))

    def _look(self, subject: Subject, key: str, verify: Verify, now: datetime) -> Look | None:
        match verify.kind:
            case "Image":
                return self._by_job(subject, key, verify, now)
            case "HTTP":
                inside = is_own_cluster(self.objects.api.server, os.environ)
                self._services = self._services or Services(self.objects, inside=inside)
                return self._services.look(subject.namespace, verify)
            case "Prometheus" if self.prometheus is None:
                return Look.unclear("no Prometheus is set up: the operator's setting prometheus.url names it")
            case "Prometheus":
                return self.prometheus.look(verify)

    def _by_job(self, subject: Subject, key: str, verify: Verify, now: datetime) -> Look | None:
        key = f"{subject.app}/{subject.digest}/{subject.commit}/{subject.round}/{key}"
        jobs = Jobs(self.objects)
        running = self._running.get(key) or self._start(jobs, subject, key, verify, now)
        if isinstance(running, Look):
            return running
        look = jobs.look(running.check, running.uid, late=now >= running.since + subject.limit)
        if look is None:
            return None
        del self._running[key]
        lines = jobs.log(running.check, look) if look.verdict is not Verdict.PASS else ()
        return replace(look, evidence="\n".join([look.evidence, *(f"| {line}" for line in lines)]))

    def _start(self, jobs: Jobs, subject: Subject, key: str, verify: Verify, now: datetime) -> _Running | Look:
        image = self.resolve(verify)
        if isinstance(image, Failure):
            return Look.unclear(f"image {by_tag(verify)} cannot be run: {image.message}")
        environment, annotations = subject.environment, verify.annotations
        check = Check(
            subject.namespace, subject.app, key, image, environment, annotations, subject.limit, subject.owner
        )
        job = jobs.start(check)
        if isinstance(job, Look):
            return job
        metadata = job["metadata"]
        made = times.parsed(metadata.get("creationTimestamp")) or now  # maybe by a run before this one
        self._running[key] = _Running(check, metadata["uid"], min(made, now))
        return self._running[key]


def _refused(refusal: RefusedError) -> str:
    words = refusal.words if isinstance(refusal, DeclinedError) else refusal.message
    return f"the cluster does not let it be looked at: {words}"
