"""Planned by what is remembered of the last plan, or planned from nothing: the same plan, whatever happened between."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import ClassVar

import pytest

from gitcd.model.plan import OutcomeKind
from gitcd.model.registry import Candidate, Failure, Image
from gitcd.model.tree import MemoryTree, blob_id
from gitcd.usecases import planner
from gitcd.usecases.context import Context, Selection
from gitcd.usecases.increment import plan_tip
from gitcd.usecases.planner import make_plan
from tests.support.follows import with_follows

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOST = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
ENVIRONMENTS = ("dev", "prod")
APPS = tuple(f"app{number}" for number in range(12))
IMAGES = ("web", "api", "job", "team/web", "lib", "cron")  # some apps share one, and one hides in another's name
QUIRKS = (
    "strategy: {group: all}",
    "config: {name: settings, key: version}",
    "suspend: true",
    "adopt: OnChange",
    "gates: {minAge: 9000h}",
    "pin: TagAndDigest",
    "places: [{file: place.yaml, pointer: /image, format: reference}]",
)
FOLLOWED = (
    "tag: env",
    "tag: edge",
    "tag: edge",
    "follow: {semver: '>=1.0 <1.2', deny: '.*-.*'}",
    "follow: {newest: {match: '1[.].*'}}",
)
STEPS = 20
RARELY = 0.2


class Facts(dict):
    """A memory that forgets what one run did not ask for, as one on disk may."""

    def __init__(self):
        super().__init__()
        self.used = {}

    def recall(self, subject, key):
        fact = self.get((subject, key))
        if fact is not None:
            self.used[subject, key] = fact
        return fact

    def note(self, subject, key, fact):
        assert "\n" not in fact
        assert fact.isascii()
        self[subject, key] = self.used[subject, key] = fact

    def saved(self):
        kept = Facts()
        kept.update(self.used)
        return kept


class Commit(MemoryTree):
    """A commit among others, by its files."""

    blobs: ClassVar[dict[str, bytes]] = {}

    def __init__(self, files, commits):
        super().__init__(files)
        self.commits = commits
        self.commit = blob_id(repr(sorted(self.files.items())).encode())
        commits[self.commit] = self
        self.blobs.update((blob_id(data), data) for data in self.files.values())

    def changes_since(self, commit):
        if commit not in self.commits:
            return None
        old, new = ({each.path: each for each in tree.entries()} for tree in (self.commits[commit], self))
        paths = sorted(path for path in old.keys() | new.keys() if old.get(path) != new.get(path))
        return [tree[path] for path in paths for tree in (old, new) if path in tree]

    def read(self, entries):
        return ((entry, self.blobs[entry.oid]) for entry in entries)

    def excerpt(self, paths):
        return MemoryTree({path: data for path, data in self.files.items() if path in paths})


@dataclass
class World:
    """Files and tags, to which anything may happen."""

    dice: Random
    files: dict[str, bytes] = field(default_factory=dict)
    tags: dict[tuple[str, str], int] = field(default_factory=dict)
    gone: set[tuple[str, str]] = field(default_factory=set)
    pushed: dict[str, int] = field(default_factory=dict)  # how many generations a list of tags tells

    def __post_init__(self):
        self.files["gitcd.yaml"] = (
            b"apiVersion: gitcd.io/v1\nkind: ConfigRepository\nenvironments:\n"
            b"- {name: dev, path: dev}\n- {name: prod, path: prod}\n"
        )
        for app in APPS:
            self.declare(app)
            self.deploy(app)

    @property
    def image(self):
        return self.dice.choice(IMAGES)

    def place(self, app):
        return f"{ENVIRONMENTS[APPS.index(app) % 2]}/{'shared' if app in APPS[:3] else app}"

    def reference(self, image):
        generation = self.dice.randrange(3)
        return f"{HOST}/{image}:{version(generation)}" + self.dice.choice([f"@{digest(image, generation)}", ""])

    def declare(self, app):
        more = self.dice.choice(("", "", "", "", f"container: {{name: {app}}}", *QUIRKS))
        image, followed = IMAGES[APPS.index(app) % 5], self.dice.choice(FOLLOWED)
        self.files[f"{self.place(app)}/{app}.cv.yaml"] = (
            f"apiVersion: gitcd.io/v1\nkind: ContainerVersion\nmetadata: {{name: {app}, namespace: team}}\n"
            f"spec:\n  imageRepo: {HOST}/{image}\n  {followed}\n  selector: {{app: {app}}}\n  {more}\n"
        ).encode()

    def deploy(self, app, image="", reference=""):
        reference = reference or self.reference(image or IMAGES[APPS.index(app) % 5])
        self.files[f"{self.place(app)}/{app}.yaml"] = (
            f"kind: Deployment\napiVersion: apps/v1\nmetadata: {{name: {app}, labels: {{app: {app}}}}}\n"
            f"spec:\n  template:\n    spec:\n      containers:\n      - name: {app}\n"
            f"        image: {reference}\n"
        ).encode()

    def happen(self):
        """One of the things that happen between two runs."""
        app = self.dice.choice(APPS)
        folder = self.place(app)
        match self.dice.randrange(16):
            case 0 | 1 | 2 | 3 | 4:
                self.tags[self.image, self.dice.choice(["env", "edge"])] = self.dice.randrange(3)
                self.gone ^= {(self.image, "env")} if self.dice.random() < RARELY else set()
                self.pushed[self.image] = self.dice.randrange(4)
            case 5 | 6 | 7:
                self.deploy(app)
            case 8 if self.dice.random() < RARELY:
                self.deploy(app, self.image)
            case 9 if self.dice.random() < RARELY:
                self.declare(app)
            case 10:
                self.files[f"{folder}/{self.dice.choice(['kustomization.yaml', 'Kustomization'])}"] = (
                    f"kind: Kustomization\nimages:\n- name: {HOST}/{self.image}\n  newTag: '1'\n"
                ).encode()
            case 11:
                self.files[f"{folder}/settings.yaml"] = (
                    b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {version: 1.0.0}\n"
                )
            case 12:
                self.files[f"{folder}/{self.dice.choice(['place', 'other'])}.yaml"] = (
                    f'{{"image": "{self.reference(self.image)}"}}\n'.encode()
                )
            case 13:
                identity = f"{ENVIRONMENTS[APPS.index(app) % 2]}/{self.dice.choice(['team', 'team', 'stray'])}.{app}"
                self.files[f".gitcd/holds/{identity}.yaml"] = self.dice.choice(
                    [b"freeze: true\n", b"reason: odd\n", b"freeze: false\n" if self.dice.random() > RARELY else b"-"]
                )
            case 14:
                images = () if self.dice.random() < RARELY else tuple(f"{app}.yaml" for app in APPS)
                kept = (".cv.yaml", "gitcd.yaml", *images)
                removable = [path for path in self.files if not path.endswith(kept)]
                self.files.pop(self.dice.choice([*removable, ""]), None)
            case _:
                self.files[f"{folder}/README.md"] = str(self.dice.random()).encode()

    def resolve(self, queries):
        keys = {(query.repository, name) for query in queries for name in query.tags | query.digests}
        return with_follows({key: self.answer(key[0].path, key[1]) for key in keys}, queries, self.listed)

    def listed(self, repository):
        answers = [self.answer(repository.path, version(each)) for each in range(self.pushed.get(repository.path, 1))]
        return [Candidate(tag, each) for each in answers if isinstance(each, Image) for tag in each.tags]

    def answer(self, image, name):
        names = {version(each): each for each in range(3)} | {digest(image, each): each for each in range(3)}
        names |= {tag: self.tags.get((image, tag), 0) for tag in ("env", "edge")}
        if name not in names or (image, name) in self.gone:
            return Failure("ImageNotFound", f"{image} has no {name}")
        generation = names[name]
        tags = tuple(tag for tag in ("env", "edge") if self.tags.get((image, tag), 0) == generation)
        return Image(digest(image, generation), (*tags, version(generation)), NOW - timedelta(days=30 - generation))


def version(generation):
    return f"1.{generation}.0"


def digest(image, generation):
    return "sha256:" + blob_id(f"{image} {generation}".encode()) + "0" * 24


@pytest.mark.parametrize("seed", range(12))
def test_the_plan_is_the_one_that_remembers_nothing(seed):
    dice = Random(seed)
    world, memory, commits = World(dice), Facts(), {}
    selection = dice.choice([Selection(), Selection(), Selection(environments=frozenset({"dev"}))])
    for _ in range(STEPS):
        for _ in range(dice.randrange(3)):
            world.happen()
        tree = Commit(world.files, commits)
        context = Context(world.resolve, lambda _: {}, NOW, selection)
        whole = make_plan(tree, context, base=tree.commit).plan
        assert plan_tip(tree, context, memory).plan == whole
        memory = memory.saved()
        for change in whole.files if dice.random() < 0.6 else ():
            if change.after is None:
                del world.files[change.path]
            else:
                world.files[change.path] = change.after


@pytest.fixture
def parts(monkeypatch):
    """For how many declarations each plan was made that was made at all."""
    made = []

    def counted(*args, **kwargs):
        planned = make_plan(*args, **kwargs)
        made.append(len(planned.plan.outcomes))
        return planned

    monkeypatch.setattr(planner, "make_plan", counted)
    return made


class Quiet:
    """Apps without quirks, planned once; `plan` plans again what became of them."""

    def __init__(self, parts):
        self.parts, self.memory, self.commits = parts, Facts(), {}
        self.world = World(Random(0))
        for number, app in enumerate(APPS):
            self.world.files[f"{self.world.place(app)}/{app}.cv.yaml"] = (
                f"apiVersion: gitcd.io/v1\nkind: ContainerVersion\nmetadata: {{name: {app}, namespace: team}}\n"
                f"spec: {{imageRepo: {HOST}/image{number}, tag: env, selector: {{app: {app}}}}}\n"
            ).encode()
            self.pin(app, 0)
        self.plan()

    def pin(self, app, generation):
        image = f"image{APPS.index(app)}"
        self.world.deploy(app, reference=f"{HOST}/{image}:{version(generation)}@{digest(image, generation)}")

    def plan(self):
        self.parts.clear()
        tree = Commit(self.world.files, self.commits)
        return plan_tip(tree, Context(self.world.resolve, lambda _: {}, NOW), self.memory).plan


def test_only_those_are_planned_whom_something_new_concerns(parts):
    quiet = Quiet(parts)
    assert (quiet.plan().counts[OutcomeKind.CURRENT], parts) == (12, [])
    quiet.world.files["README.md"] = quiet.world.files["dev/more.yaml"] = b"more: words\n"
    assert (quiet.plan().counts[OutcomeKind.CURRENT], parts) == (12, [])
    quiet.world.tags["image7", "env"] = 1
    assert (quiet.plan().counts[OutcomeKind.BUMPED], parts) == (1, [1])
    quiet.pin("app7", 1)
    assert (quiet.plan().counts[OutcomeKind.CURRENT], parts) == (12, [1])
    assert (quiet.plan().counts[OutcomeKind.CURRENT], parts) == (12, [])
    quiet.world.files[".gitcd/holds/prod/team.app7.yaml"] = b"freeze: true\n"
    assert (quiet.plan().counts[OutcomeKind.CURRENT], parts) == (12, [1])
    quiet.world.tags["image7", "env"] = 0
    assert (quiet.plan().counts[OutcomeKind.HELD], parts) == (1, [1])


def test_what_may_concern_everybody_is_planned_for_all(parts):
    quiet = Quiet(parts)
    for path in ("gitcd.yaml", "dev/app4/app4.cv.yaml"):
        quiet.world.files[path] += b"# more\n"
        assert (len(quiet.plan().outcomes), parts) == (12, [12])
    quiet.commits.clear()
    quiet.world.files["README.md"] = b""
    assert (len(quiet.plan().outcomes), parts) == (12, [12])
