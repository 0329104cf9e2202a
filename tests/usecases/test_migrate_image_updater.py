"""From Argo CD Image Updater: what is drafted changes the places that its write-back would, and no other."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitcd.model.plan import OutcomeKind
from gitcd.model.tree import MemoryTree
from gitcd.usecases.migrate_tools import from_tree_of_image_updater
from gitcd.usecases.validate import validate
from tests.support.migrating import broken, changed_lines, plan_of, with_drafts
from tests.support.scenes import Tags, digest

REGISTRY = "123456789012.dkr.ecr.us-east-1.amazonaws.com/shop"
PREFIX = "argocd-image-updater.argoproj.io"


def application(name, path, annotations=None, source="", labels="{}", namespace="argocd"):
    lines = "".join(f'    {PREFIX}/{key}: "{value}"\n' for key, value in (annotations or {}).items())
    return f"""\
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata:
  name: {name}
  namespace: {namespace}
  labels: {labels}
  annotations:
    team: shop
{lines}spec:
  project: default
  destination: {{server: "https://kubernetes.default.svc", namespace: shop}}
  source:
    repoURL: https://git.example.com/shop/config
    targetRevision: main
    path: {path}
{source}"""


def updater(spec):
    return f"""\
apiVersion: {PREFIX}/v1alpha1
kind: ImageUpdater
metadata: {{name: fleet, namespace: argocd}}
spec:
{spec}"""


KUSTOMIZATION = f"""\
resources: [../../base]
images:
  - name: web
    newName: {REGISTRY}/web
    newTag: 1.2.0
  - name: {REGISTRY}/proxy
    newTag: 2.0.0
"""
VALUES = f"""\
api:
  image:
    repository: {REGISTRY}/api
    tag: env-prod
worker:
  image: {REGISTRY}/worker:1.0.0
jobs:
  - name: nightly
    version: "1.0.0"
"""
PARAMETERS = f"""\
helm:
  parameters:
  - name: image.name
    value: {REGISTRY}/mail
    forcestring: true
  - name: image.tag
    value: "1.0.0"
    forcestring: true
kustomize:
  images:
  - {REGISTRY}/other:1.0.0
"""
IN_PLACE = f"""\
    helm:
      parameters:
        - {{name: image.repository, value: {REGISTRY}/cart}}
        - {{name: image.tag, value: "1.0.0"}}
"""
WEB = {
    "image-list": f"web={REGISTRY}/web:~1.2, proxy={REGISTRY}/proxy:2.x",
    "web.update-strategy": "semver",
    "web.ignore-tags": "1.2.9*, latest",
    "web.kustomize.image-name": "web",
    "write-back-method": "git:secret:argocd/git-creds",
    "write-back-target": "kustomization",
}
API = {
    "image-list": f"api={REGISTRY}/api:env-prod,worker={REGISTRY}/worker,jobs={REGISTRY}/jobs:1.x",
    "api.update-strategy": "digest",
    "api.helm.image-name": "api.image.repository",
    "api.helm.image-tag": "api.image.tag",
    "worker.helm.image-spec": "worker.image",
    "worker.update-strategy": "latest",
    "worker.allow-tags": "regexp:^[0-9.]+$",
    "jobs.helm.image-name": "jobs[0].name",
    "jobs.helm.image-tag": "jobs[0].version",
    "write-back-method": "git",
    "write-back-target": "helmvalues:/values/prod.yaml",
}
MAIL = {"image-list": f"{REGISTRY}/mail:>=1.0", "write-back-method": "git"}
CART = {"image-list": f"cart={REGISTRY}/cart", "cart.helm.image-name": "image.repository"}

FILES = {
    "argocd/apps.yaml": "---\n".join(
        [
            application("web", "web/overlays/prod", WEB),
            application("api", "charts/api", API),
            application("mail", "charts/mail", MAIL),
            application("cart", "charts/cart", CART, IN_PLACE),
            application("plain", "plain"),
        ]
    ),
    "web/overlays/prod/kustomization.yaml": KUSTOMIZATION,
    "web/overlays/dev/kustomization.yaml": KUSTOMIZATION,
    "values/prod.yaml": VALUES,
    "charts/mail/.argocd-source-mail.yaml": PARAMETERS,
    "base/web.yaml": f"kind: Deployment\nmetadata: {{name: web}}\nspec: {{image: {REGISTRY}/web:1.2.0}}\n",
}
TAGS = Tags(
    {f"shop/{name}": ["1.0.0", "1.1.0"] for name in ("worker", "jobs", "mail", "cart", "api")}
    | {"shop/web": ["1.2.0", "1.2.4", "1.2.90", "1.3.0"], "shop/proxy": ["2.0.0", "2.1.0"]},
    {("shop/api", "env-prod"): "1.1.0"},
)
# File, the old line, and what its write-back puts there.
WRITTEN = [
    ("web/overlays/prod/kustomization.yaml", "    newTag: 1.2.0", "    newTag: 1.2.4"),
    ("web/overlays/prod/kustomization.yaml", "    newTag: 2.0.0", "    newTag: 2.1.0"),
    ("values/prod.yaml", "    tag: env-prod", f"    tag: env-prod@{digest('shop/api:1.1.0')}"),
    ("values/prod.yaml", f"  image: {REGISTRY}/worker:1.0.0", f"  image: {REGISTRY}/worker:1.1.0"),
    ("values/prod.yaml", '    version: "1.0.0"', '    version: "1.1.0"'),
    ("charts/mail/.argocd-source-mail.yaml", '    value: "1.0.0"', '    value: "1.1.0"'),
    ("argocd/apps.yaml", '        - {name: image.tag, value: "1.0.0"}', '        - {name: image.tag, value: "1.1.0"}'),
]


def drafted(files):
    return from_tree_of_image_updater(MemoryTree({path: text.encode() for path, text in files.items()}))


def notes(files):
    return "\n".join(map(str, drafted(files).notes))


def spec_of(name, files):
    (found,) = (each for each in drafted(files).drafts if each.name == name)
    return found.spec


def lines_written():
    return {(path, FILES[path].splitlines().index(old) + 1) for path, old, _ in WRITTEN}


def test_a_plan_changes_the_places_that_the_write_back_would():
    plan = plan_of(with_drafts(FILES, drafted(FILES)), TAGS)
    assert {each.kind for each in plan.outcomes} == {OutcomeKind.BUMPED, OutcomeKind.PIN_ONLY}
    assert changed_lines(plan) == lines_written()


def test_what_is_written_is_what_image_updater_would_write():
    after = {change.path: change.after.decode() for change in plan_of(with_drafts(FILES, drafted(FILES)), TAGS).files}
    for path in {path for path, _, _ in WRITTEN}:
        expected = FILES[path]
        for at, old, new in WRITTEN:
            expected = expected.replace(f"{old}\n", f"{new}\n") if at == path else expected
        assert after[path] == expected


def test_the_outcome_is_valid_and_drafted_again_alike():
    first = drafted(FILES)
    files = with_drafts(FILES, first)
    assert validate(MemoryTree({path: text.encode() for path, text in files.items()})).problems == ()
    assert [each.document for each in drafted(files).drafts] == [each.document for each in first.drafts]


def test_of_applications_without_annotations_nothing_is_said():
    assert drafted({"argocd/apps.yaml": application("plain", "plain")}).drafts == ()
    assert notes({"argocd/apps.yaml": application("plain", "plain")}) == ""


def test_a_key_of_helm_values_with_dots_is_found_at_the_top_first():
    values = f"image.name: {REGISTRY}/web\nimage.tag: 1.2.0\nimage: {{tag: 1.2.0}}\n"
    own = {"image-list": f"{REGISTRY}/web:1.x", "write-back-method": "git", "write-back-target": "helmvalues"}
    files = {"argocd/apps.yaml": application("web", "chart", own), "chart/values.yaml": values}
    assert spec_of("web", files)["places"] == [{"file": "chart/values.yaml", "pointer": "/image.tag", "format": "tag"}]


class TestStrategies:
    def spec(self, annotations, image=f"{REGISTRY}/web:1.x"):
        own = {**WEB, "image-list": f"web={image}", **annotations}
        own = {key: value for key, value in own.items() if value is not None}
        return spec_of("web", {**FILES, "argocd/apps.yaml": application("web", "web/overlays/prod", own)})

    def test_semver_is_the_default_and_without_constraint_any_version(self):
        spec = self.spec({"web.update-strategy": None, "web.ignore-tags": None}, f"{REGISTRY}/web")
        assert (spec["follow"], spec["pin"]) == ({"semver": "*"}, "Version")

    def test_tags_are_allowed_and_ignored_as_a_whole(self):
        spec = self.spec({"web.allow-tags": "regexp:^v?[0-9.]+$", "web.ignore-tags": "1.2.?,a[0-9]*"})
        assert spec["follow"] == {"semver": "1.x", "allow": "v?[0-9.]+", "deny": r"1\.2\..|a[0-9].*"}

    def test_settings_for_all_images_are_heeded(self):
        spec = self.spec({"web.update-strategy": None, "update-strategy": "newest-build", "web.ignore-tags": "latest"})
        assert spec["follow"] == {"newest": {"match": ".*"}, "deny": "latest"}

    @pytest.mark.parametrize("strategy", ["alphabetical", "name"])
    def test_the_alphabet_is_told(self, strategy):
        files = {**FILES, "argocd/apps.yaml": application("web", "web/overlays/prod", {**WEB, "web.update-strategy": strategy})}  # fmt: skip
        assert "it took the last tag of the alphabet; gitcd takes the tag that was pushed last" in notes(files)

    def test_a_moving_tag_is_followed_by_its_digest(self):
        spec = self.spec({"web.update-strategy": "digest"}, f"{REGISTRY}/web:latest")
        assert (spec["tag"], spec["pin"]) == ("latest", "TagAndDigest")


class TestUpdaters:
    SPEC = f"""\
  commonUpdateSettings: {{updateStrategy: newest-build}}
  writeBackConfig: {{method: git, gitConfig: {{branch: main, writeBackTarget: kustomization}}}}
  applicationRefs:
    - namePattern: "*"
      images: [{{alias: other, imageName: {REGISTRY}/proxy}}]
    - namePattern: "w*"
      labelSelectors: {{matchExpressions: [{{key: tier, operator: In, values: [front]}}]}}
      commonUpdateSettings: {{allowTags: "regexp:^1"}}
      writeBackConfig: {{gitConfig: {{pullRequest: {{github: {{}}}}}}}}
      images:
        - alias: web
          imageName: {REGISTRY}/web:~1.2
          commonUpdateSettings: {{updateStrategy: semver, ignoreTags: [latest]}}
          manifestTargets: {{kustomize: {{name: web}}}}
"""

    def files(self, spec=SPEC, **more):
        app = application("web", "web/overlays/prod", labels="{tier: front}", **more)
        return {**FILES, "argocd/apps.yaml": app, "argocd/updater.yaml": updater(spec)}

    def test_the_most_specific_reference_counts_and_settings_add_up(self):
        spec = spec_of("web", self.files())
        assert spec["follow"] == {"semver": "~1.2", "allow": "1.*", "deny": "latest"}
        assert spec["delivery"] == {"mode": "PullRequest"}
        assert spec["paths"] == ["web/overlays/prod/kustomization.yaml"]

    def test_an_exact_name_goes_before_a_selector(self):
        exact = self.SPEC + f"    - namePattern: web\n      images: [{{alias: proxy, imageName: {REGISTRY}/proxy}}]\n"
        assert spec_of("web", self.files(exact))["imageRepo"] == f"{REGISTRY}/proxy"

    def test_annotations_are_read_where_it_says_so(self):
        spec = '  applicationRefs:\n    - {namePattern: "*", useAnnotations: true}\n'
        files = self.files(spec, annotations=WEB)
        assert {each.name for each in drafted(files).drafts} == {"web-web", "web-proxy"}

    def test_of_another_namespace_it_is_no_concern(self):
        assert drafted(self.files(namespace="elsewhere")).drafts == ()

    def test_the_first_releases_named_the_namespace_of_applications(self):
        files = self.files("  namespace: elsewhere\n" + self.SPEC, namespace="elsewhere")
        assert [each.name for each in drafted(files).drafts] == ["web"]

    def test_annotations_that_no_updater_asks_for_are_told(self):
        spec = "  applicationRefs:\n    - namePattern: other\n"
        assert "no ImageUpdater of this repository selects it" in notes(self.files(spec, annotations=WEB))


class TestWhatHasNoCounterpart:
    @pytest.mark.parametrize(
        ("annotations", "told"),
        [
            ({"web.pull-secret": "pullsecret:argocd/regcred"}, "pullSecret: credentials are the operator's"),
            ({"web.platforms": "linux/arm64"}, "platforms: has no counterpart"),
            ({"web.force-update": "true"}, "forceUpdate: is not needed"),
            ({"web.allow-tags": "regexp:(?i)abc"}, "has no counterpart"),
            ({"image-list": f"new={REGISTRY}/new:1.x"}, "has no entry for it yet: add `{name: 123"),
            ({"write-back-target": "kustomization:../lost"}, "web/overlays/lost/kustomization.yaml is not there"),
            ({"write-back-target": "helmvalues:../../values.yaml"}, "web/values.yaml is not there"),
            ({"write-back-method": "argocd"}, "holds no image and no parameter for it, so it stands nowhere in git"),
            ({"image-list": f"web={REGISTRY}/web:!=1.2"}, "the range '!=1.2' has no counterpart"),
            ({"write-back-method": "git:secret:argocd/git"}, "write-back-method: credentials are the operator's"),
            ({"web.allow-tag": "any"}, f"the annotation {PREFIX}/web.allow-tag is not known here"),
        ],
    )
    def test_it_is_told(self, annotations, told):
        app = application("web", "web/overlays/prod", {**WEB, **annotations})
        assert told in notes({**FILES, "argocd/apps.yaml": app})

    def test_the_target_of_a_plugin_is_told(self):
        spec = TestUpdaters.SPEC.replace("{kustomize: {name: web}}", "{plugin: {name: NAME}, kustomize: {name: web}}")
        assert f"{REGISTRY}/web: manifestTargets.plugin: has no counterpart" in notes(TestUpdaters().files(spec))

    def test_of_annotations_that_are_known_nothing_is_said(self):
        assert "is not known here" not in notes(FILES)

    def test_two_branches_are_told(self):
        apps = application("web", "web/overlays/prod", {**WEB, "git-branch": "next:updates"})
        files = {**FILES, "argocd/apps.yaml": apps + "---\n" + application("mail", "charts/mail", MAIL)}
        assert "it commits to next of https://git.example.com/shop/config; a run of gitcd works on one branch" in notes(files)  # fmt: skip

    def test_generated_applications_are_told(self):
        template = application("web-{{env}}", "web", WEB).replace("\n", "\n    ")
        text = template.partition("metadata:")[2]
        generator = f"apiVersion: argoproj.io/v1alpha1\nkind: ApplicationSet\nmetadata: {{name: all}}\nspec:\n  template:\n    metadata:{text}"
        assert "ApplicationSet all: what it generates is not known here" in notes({"argocd/set.yaml": generator})

    def test_a_second_place_in_the_same_file_is_told(self):
        twice = KUSTOMIZATION + f"  - name: again\n    newName: {REGISTRY}/web\n    newTag: 1.2.0\n"
        told = notes({**FILES, "web/overlays/prod/kustomization.yaml": twice})
        assert "web/overlays/prod/kustomization.yaml:8 holds" in told
        assert "gitcd changes it as well" in told


@st.composite
def kustomized(draw):
    """A kustomization, annotations that mean some of its entries, and the numbers of the lines that are written."""
    meant = draw(st.sampled_from(["", "web"]))
    lines, written = ["images:"], set()
    for name in draw(st.lists(st.sampled_from(["web", "other", f"{REGISTRY}/web", f"{REGISTRY}/proxy"]), unique=True)):
        renamed = name in {"web", "other"} and draw(st.booleans())
        tag = draw(st.sampled_from(["1.2.0", "1.2.4"]))
        lines += [f"- name: {name}", *([f"  newName: {REGISTRY}/web"] if renamed else []), f"  newTag: {tag}"]
        is_web = renamed or name == f"{REGISTRY}/web"
        if name == (meant or f"{REGISTRY}/web") and is_web and tag != "1.2.4":
            written.add(("web/overlays/prod/kustomization.yaml", len(lines)))
    annotations = {**WEB, "image-list": f"web={REGISTRY}/web:~1.2", "web.kustomize.image-name": meant}
    files = {"web/overlays/prod/kustomization.yaml": "\n".join([*lines, ""])}
    return annotations, files, written


@st.composite
def valued(draw):
    """Helm values, annotations that mean one image in them, and the numbers of the lines that are written."""
    tag = draw(st.sampled_from(["1.2.0", "1.2.4"]))
    shape = draw(st.sampled_from(["map", "named", "spec", "list"]))
    if shape in {"map", "named"}:
        key = "repository" if shape == "map" else "name"
        lines = ["app:", "  image:", f"    {key}: {REGISTRY}/web", f"    tag: {tag}"]
        keys = {"web.helm.image-name": f"app.image.{key}", "web.helm.image-tag": "app.image.tag"}
    elif shape == "spec":
        lines, keys = ["app:", f"  img: {REGISTRY}/web:{tag}"], {"web.helm.image-spec": "app.img"}
    else:
        lines = ["apps:", "- version: unrelated", f"- of: {REGISTRY}/web", f"  version: {tag}"]
        keys = {"web.helm.image-name": "apps[1].of", "web.helm.image-tag": "apps[1].version"}
    written = {("values.yaml", len(lines))} if tag != "1.2.4" else set()
    more = draw(
        st.sampled_from(
            [[], [f"note: see {REGISTRY}/web:1.2.0"], ["other:", f"  repository: {REGISTRY}/proxy", "  tag: 2.0.0"]]
        )
    )
    annotations = {
        **WEB,
        "image-list": f"web={REGISTRY}/web:~1.2",
        "write-back-target": "helmvalues:/values.yaml",
        **keys,
    }
    return annotations, {"values.yaml": "\n".join([*lines, *more, ""])}, written


@settings(max_examples=40, deadline=None)
@given(st.one_of(kustomized(), valued()))
def test_whatever_the_write_back_means_changes_and_nothing_else(case):
    annotations, own, written = case
    files = {"apps.yaml": application("web", "web/overlays/prod", annotations), **own}
    found = drafted(files)
    if not found.drafts:
        assert written == set()
        assert "so nothing is declared" in notes(files)
        return
    plan = plan_of(with_drafts(files, found), TAGS)
    assert not {each.kind for each in plan.outcomes} & {OutcomeKind.FAILED, OutcomeKind.BLOCKED}
    assert "gitcd changes it as well" in notes(files) or changed_lines(plan) == written


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_what_is_of_another_type_than_it_should_be_stops_nothing(data):
    files = TestUpdaters().files() | {"argocd/more.yaml": FILES["argocd/apps.yaml"]}
    path = data.draw(
        st.sampled_from(["argocd/apps.yaml", "argocd/updater.yaml", "argocd/more.yaml", "values/prod.yaml"])
    )
    found = drafted({**files, path: broken(files[path], data.draw)})
    assert [each.problems() for each in found.drafts] == [[] for _ in found.drafts]
