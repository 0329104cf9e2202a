"""ContainerVersion: what a team writes down about one image, and nothing else.

These classes are the schema source (see `fields`). Field names are written here as Python has them and appear in
documents in camel case: `image_repo` is `imageRepo`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, ClassVar, Literal

from gitcd.model.fields import (
    Doc,
    Duration,
    FilePath,
    GroupName,
    ImageRepo,
    Items,
    Label,
    LabelMap,
    Name,
    Number,
    OptionalEnvironment,
    OptionalLabel,
    Pointer,
    Regex,
    Rule,
    SemverRange,
    Tag,
    Text,
    either,
    not_both,
)
from gitcd.model.reference import Repository
from gitcd.model.strategy import Strategy

API_VERSION: Literal["gitcd.io/v1"] = "gitcd.io/v1"
KIND: Literal["ContainerVersion"] = "ContainerVersion"
GROUP, VERSION = API_VERSION.split("/")
PLURAL = "containerversions"

Pin = Literal["VersionAndDigest", "Digest", "Version", "TagAndDigest"]
DeliveryMode = Literal["Commit", "PullRequest"]
Severity = Literal["", "UNDEFINED", "INFORMATIONAL", "LOW", "MEDIUM", "HIGH", "CRITICAL"]


@dataclass(frozen=True, slots=True)
class Newest:
    match: Annotated[Regex, Doc("Tags that match this expression as a whole are considered.")]


@dataclass(frozen=True, slots=True)
class Follow:
    semver: Annotated[SemverRange, Doc("A range of semantic versions; the highest in it wins.")] = ""
    newest: Annotated[Newest | None, Doc("The tag pushed last among those that match.")] = None
    allow: Annotated[Regex, Doc("Only tags that match this as a whole are considered; empty: all.")] = ""
    deny: Annotated[Regex, Doc("Tags that match this as a whole are not considered.")] = ""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "(has(self.semver) && self.semver != '') != has(self.newest)",
            "give either semver or newest",
            lambda follow: bool(follow.semver) != (follow.newest is not None),
            schema=either("semver", "newest"),
        ),
    )


@dataclass(frozen=True, slots=True)
class Workload:
    kind: Annotated[
        str,
        Text(r"[A-Z][A-Za-z0-9]*", min=1, max=63, hint="a kind such as Deployment"),
        Doc("Kind of the workload, such as Deployment."),
    ]
    name: Annotated[Name, Doc("Name of the workload.")]


@dataclass(frozen=True, slots=True)
class Container:
    name: Annotated[Label, Doc("Name of the container or init container.")]


@dataclass(frozen=True, slots=True)
class Place:
    file: Annotated[
        FilePath,
        Doc("Path of the file, from the root of the environment's first folder or of the repository."),
    ]
    pointer: Annotated[Pointer, Doc("JSON pointer to the scalar.")]
    format: Annotated[
        Literal["reference", "tag", "digest", "version"],
        Doc("What the scalar holds."),
    ]
    document: Annotated[int, Number(min=0), Doc("Which document of the file, counted from 0.")] = 0


@dataclass(frozen=True, slots=True)
class Delivery:
    mode: Annotated[DeliveryMode, Doc("Commit to the branch, or open a pull request.")] = "Commit"
    group: Annotated[GroupName, Doc("Declarations of one group share a pull request.")] = ""


@dataclass(frozen=True, slots=True)
class Gates:
    min_age: Annotated[Duration, Doc("How long ago this very digest must have been pushed.")] = timedelta(0)
    max_severity: Annotated[Severity, Doc("The worst scan finding that may pass; empty: not asked.")] = ""
    require_signed: Annotated[bool, Doc("Only images with a valid signature pass.")] = False
    allow_downgrade: Annotated[bool, Doc("Whether an image pushed before the present one may replace it.")] = True


@dataclass(frozen=True, slots=True)
class Apply:
    ownership: Annotated[
        Literal["Manifest", "Image"], Doc("Manifest applies the whole object, Image the image field alone.")
    ] = "Manifest"
    take_over: Annotated[bool, Doc("Whether the image field is forced where another manager owns it.")] = False


@dataclass(frozen=True, slots=True)
class Rollback:
    enabled: Annotated[bool, Doc("Whether a rollout that failed is taken back.")] = True


@dataclass(frozen=True, slots=True)
class History:
    enabled: Annotated[bool, Doc("Whether the status lists former rollouts.")] = True
    limit: Annotated[int, Number(min=1, max=100), Doc("How many it lists.")] = 10


@dataclass(frozen=True, slots=True)
class ConfigKey:
    name: Annotated[Name, Doc("Name of the ConfigMap.")]
    key: Annotated[
        str, Text(r"[-._a-zA-Z0-9]+", min=1, max=253, hint="a ConfigMap key"), Doc("The key that holds the version.")
    ]


@dataclass(frozen=True, slots=True)
class Timeouts:
    rollout: Annotated[Duration, Doc("How long a rollout may take to become healthy.")] = timedelta(minutes=15)
    verify: Annotated[Duration, Doc("How long all checks of a rollout may take.")] = timedelta(minutes=10)
    unschedulable: Annotated[
        Duration, Doc("How long a pod may wait for a node before that counts as a failure of the rollout.")
    ] = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class Spec:
    image_repo: Annotated[ImageRepo, Doc("Registry host and repository to follow, without tag and digest.")]
    tag: Annotated[Tag, Doc("The moving tag to follow.")] = ""
    follow: Annotated[Follow | None, Doc("What to follow in a repository of immutable tags.")] = None
    version_syntax: Annotated[
        Regex,
        Doc(
            "Which tag on the same digest is the version; it must match as a whole. Empty: a semantic version, "
            "else a git hash of 5 to 40 digits.",
        ),
    ] = ""
    pin: Annotated[
        Pin | None,
        Doc("How the image is written. Absent: VersionAndDigest, or TagAndDigest where no version is known."),
    ] = None
    adopt: Annotated[
        Literal["Now", "OnChange"],
        Doc("OnChange leaves another spelling of the wanted content alone until the content changes."),
    ] = "Now"
    selector: Annotated[LabelMap, Doc("Labels of the workload manifests.")] = field(default_factory=dict)
    workload: Annotated[Workload | None, Doc("One workload, by kind and name.")] = None
    container: Annotated[Container | None, Doc("Absent: every container and init container of imageRepo.")] = None
    places: Annotated[tuple[Place, ...], Items(max=64), Doc("Anything else, named explicitly.")] = ()
    environment: Annotated[OptionalEnvironment, Doc("Only where the file's place does not say it.")] = ""
    paths: Annotated[tuple[FilePath, ...], Items(max=64), Doc("Narrows the search inside the environment.")] = ()
    interval: Annotated[Duration, Doc("How often `gitcd run` asks the registry.")] = timedelta(minutes=5)
    delivery: Annotated[Delivery | None, Doc("May only tighten what the environment says.")] = None
    gates: Annotated[Gates, Doc("May only tighten what the environment says.")] = field(default_factory=Gates)
    strategy: Annotated[Strategy, Doc("How a new image is taken live.")] = field(default_factory=Strategy)
    apply: Annotated[Apply, Doc("What gitcd owns of the objects that it applies.")] = field(default_factory=Apply)
    rollback: Annotated[Rollback, Doc("What happens after a rollout that failed.")] = field(default_factory=Rollback)
    history: Annotated[History, Doc("What the status remembers.")] = field(default_factory=History)
    config: Annotated[ConfigKey | None, Doc("A ConfigMap key that carries the version.")] = None
    timeouts: Annotated[Timeouts, Doc("How long things may take.")] = field(default_factory=Timeouts)
    suspend: Annotated[bool, Doc("A human's switch: nothing moves.")] = False

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "(has(self.tag) && self.tag != '') != has(self.follow)",
            "give either tag or follow",
            lambda spec: bool(spec.tag) != (spec.follow is not None),
            "tag",
            either("tag", "follow"),
        ),
        Rule(
            "!has(self.selector) || size(self.selector) == 0 || !has(self.workload)",
            "give either selector or workload",
            lambda spec: not (spec.selector and spec.workload),
            "workload",
            not_both("selector", "workload"),
        ),
    )

    @property
    def repository(self) -> Repository:
        return Repository.parse(self.image_repo)


@dataclass(frozen=True, slots=True)
class Metadata:
    name: Annotated[Name, Doc("Name of the declaration, the app in reports.")]
    namespace: Annotated[OptionalLabel, Doc("Absent: default.")] = ""

    IGNORED: ClassVar[tuple[str, ...]] = (
        "annotations",
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "finalizers",
        "generateName",
        "generation",
        "labels",
        "managedFields",
        "ownerReferences",
        "resourceVersion",
        "selfLink",
        "uid",
    )


@dataclass(frozen=True, slots=True)
class Document:
    """A ContainerVersion as it is written down. Its status is output: whatever stands there is never read."""

    api_version: Annotated[Literal["gitcd.io/v1"], Doc("Group and version of this schema.")]
    kind: Annotated[Literal["ContainerVersion"], Doc("What this document is.")]
    metadata: Annotated[Metadata, Doc("Name and namespace, as Kubernetes has them.")]
    spec: Annotated[Spec, Doc("Which image is followed, and where it is written.")]

    IGNORED: ClassVar[tuple[str, ...]] = ("status",)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a document was read: a file with line (from 1), or an object of the cluster."""

    path: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.path}:{self.line}" if self.line else self.path


@dataclass(frozen=True, slots=True, order=True)
class Identity:
    """The name under which a declaration is known in reports, holds and trailers."""

    environment: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return "/".join(part for part in (self.environment, self.namespace, self.name) if part)

    @property
    def app(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class ContainerVersion:
    metadata: Metadata
    spec: Spec
    origin: Origin

    @property
    def namespace(self) -> str:
        return self.metadata.namespace or "default"
