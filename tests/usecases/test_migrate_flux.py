"""From Flux: the declarations that are drafted change the scalars that Flux's setters would, and no other."""

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gitcd.model import schema
from gitcd.model.layout import ConfigRepository
from gitcd.model.plan import OutcomeKind
from gitcd.model.tree import MemoryTree
from gitcd.usecases.migrate_tools import from_tree_of_flux, render
from gitcd.usecases.validate import validate
from tests.support.fluxtree import (
    DEPLOYMENT,
    FILES,
    IMAGES,
    JOBS,
    KUSTOMIZATION,
    SETTINGS,
    WEB,
    automation,
    by_setters,
    mark,
)
from tests.support.migrating import broken, changed_lines, plan_of, with_drafts
from tests.support.scenes import Tags

TAGS = Tags({"shop/web": ["1.0.0", "1.1.0", "2.0.0"], "shop/jobs": ["main-abc-1", "main-def-2", "wip-main-abc-3"]})


def drafted(files):
    return from_tree_of_flux(MemoryTree({path: text.encode() for path, text in files.items()}))


def notes(files):
    return "\n".join(map(str, drafted(files).notes))


def by_flux(files, latest):
    """What the setters of the automations would change: the lines that bear a mark, where the value is another."""
    changed = set()
    for path, text in files.items():
        if path.startswith(("apps/prod/", "apps/dev/")):
            pairs = zip(text.splitlines(), by_setters(text, latest).splitlines(), strict=True)
            changed |= {(path, number) for number, (old, new) in enumerate(pairs, 1) if old != new}
    return changed


LATEST = {"web": (WEB, "1.1.0"), "jobs": (JOBS, "main-def-2")}


def test_a_plan_changes_the_lines_that_the_setters_would():
    files = with_drafts(FILES, drafted(FILES))
    plan = plan_of(files, TAGS)
    assert {each.kind for each in plan.outcomes} == {OutcomeKind.BUMPED, OutcomeKind.PROPOSED}
    expected = by_flux(FILES, LATEST)
    assert len(expected) == 5
    assert changed_lines(plan) == expected


def test_what_is_written_is_what_flux_would_write():
    after = {change.path: change.after.decode() for change in plan_of(with_drafts(FILES, drafted(FILES)), TAGS).files}
    assert after["apps/prod/web.yaml"] == DEPLOYMENT.replace(f"{WEB}:1.0.0 # {{", f"{WEB}:1.1.0 # {{")
    assert after["apps/prod/settings.yaml"] == SETTINGS.replace('"1.0.0" #', '"1.1.0" #')
    assert after["apps/dev/kustomization.yaml"] == KUSTOMIZATION.replace("main-abc-1", "main-def-2")


def test_a_second_time_the_same_is_drafted():
    first = drafted(FILES)
    files = with_drafts(FILES, first)
    again = drafted(files)
    assert [each.document for each in again.drafts] == [each.document for each in first.drafts]
    assert again.environments == first.environments


def test_the_outcome_is_valid():
    report = validate(MemoryTree({path: text.encode() for path, text in with_drafts(FILES, drafted(FILES)).items()}))
    assert report.problems == ()
    documents = list(yaml.safe_load_all(render(drafted(FILES))))
    assert [each["kind"] for each in documents] == ["ConfigRepository", "ContainerVersion", "ContainerVersion"]
    assert schema.validate(ConfigRepository, documents[0]) == []


def test_environments_are_the_folders_of_automations():
    assert drafted(FILES).environments == (
        {"name": "dev", "path": "apps/dev", "delivery": {"mode": "PullRequest"}, "applier": "external", "markers": True},
        {"name": "prod", "path": "apps/prod", "applier": "external", "markers": True},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("", ""), "ImageRepository flux-system/jobs: secretRef: credentials are the operator's"),
        (("", ""), "ImageUpdateAutomation flux-system/dev: it pushed to updates; gitcd opens pull requests against main"),
        (("", ""), "ImagePolicy flux-system/jobs: it took the last tag in numerical order"),
        (('range: ">=1.0.0 <2.0.0"', "range: ^1.x-0"), "flux-system/web: pre-releases are not followed"),
        (('range: ">=1.0.0 <2.0.0"', "range: '!=1.2'"), "the range '!=1.2' has no counterpart"),
        (("order: asc", "order: desc"), "a numerical order that descends cannot be followed, so nothing is declared"),
        (("pattern: '^main-", "pattern: '(?i)^main-"), "has no counterpart"),
        (("name: web, namespace: flux-system}\nspec:\n  imageRepositoryRef: {name: web}",
          "name: web, namespace: flux-system}\nspec:\n  imageRepositoryRef: {name: lost}"),
         "there is no ImageRepository flux-system/lost, so nothing is declared"),
        (("metadata: {name: web, namespace: flux-system}\nspec:\n", "metadata: {name: renamed, namespace: flux-system}\nspec:\n"),
         "apps/prod/release.yaml:8 names the policy flux-system:web, which is not in this repository"),
    ],
)  # fmt: skip
def test_what_has_no_counterpart_is_told(change, told):
    files = {**FILES, "clusters/main/images.yaml": IMAGES.replace(*change) if change[0] else IMAGES}
    assert told in notes(files)


def test_a_place_without_its_mark_in_the_same_file_is_told():
    values = f"a:\n  repository: {WEB}\n  tag: 1.0.0\n" + SETTINGS
    told = notes({**FILES, "apps/prod/settings.yaml": values})
    assert "apps/prod/settings.yaml:2 holds" in told
    assert "without its mark, and gitcd changes it as well" in told


def test_two_policies_of_one_image_in_one_file_are_told():
    second = IMAGES.rpartition("---\n")[0].rpartition("---\n")[2].replace("name: web, ", "name: next, ")
    both = DEPLOYMENT + "---\n" + DEPLOYMENT.replace("name: web,", "name: next,").replace("system:web", "system:next")
    files = {**FILES, "clusters/main/next.yaml": second.replace("<2.0.0", ""), "apps/prod/web.yaml": both}
    text = (
        "marked with the policy flux-system:next, and gitcd moves neither (Conflict): put them into files of their own"
    )
    assert f"ImagePolicy flux-system/web: apps/prod/web.yaml:25 holds {WEB}:1.0.0 too, {text}" in notes(files)
    outcomes = plan_of(with_drafts(files, drafted(files)), TAGS).outcomes
    assert sum(each.kind is OutcomeKind.CONFLICT for each in outcomes) == 2


class TestPolicies:
    def draft(self, policy: str, **more: str):
        text = IMAGES.replace('policy: {semver: {range: ">=1.0.0 <2.0.0"}}', policy)
        for old, new in more.items():
            text = text.replace(old, new)
        (found,) = (each for each in drafted({**FILES, "clusters/main/images.yaml": text}).drafts if each.name == "web")
        return found.spec

    def test_a_range_and_what_is_filtered(self):
        spec = self.draft("filterTags: {pattern: '-rc'}\n  policy: {semver: {range: '>=1.0.0-0'}}")
        assert spec["follow"] == {"semver": ">=1.0.0-0", "allow": ".*-rc.*"}
        assert spec["pin"] == "Version"

    def test_one_tag_with_its_digest(self):
        spec = self.draft(
            "filterTags: {pattern: '^latest$'}\n  policy: {alphabetical: {}}\n  digestReflectionPolicy: Always"
        )
        assert (spec["tag"], spec["pin"]) == ("latest", "TagAndDigest")
        assert "follow" not in spec

    def test_a_digest_that_was_reflected_is_written(self):
        assert "pin" not in self.draft("policy: {semver: {range: 1.x}}\n  digestReflectionPolicy: IfNotPresent")

    def test_what_is_excluded_is_denied(self):
        (jobs,) = (each for each in drafted(FILES).drafts if each.name == "jobs")
        assert jobs.spec["follow"] == {"newest": {"match": "main-[0-9a-f]+-(?P<ts>[0-9]+)"}, "deny": "wip-.*"}

    def test_what_is_suspended_stays_so(self):
        text = FILES["clusters/main/automation.yaml"].replace("  interval: 30m\n", "  interval: 30m\n  suspend: true\n")
        assert all(each.spec["suspend"] for each in drafted({**FILES, "clusters/main/automation.yaml": text}).drafts)

    def test_a_selector_chooses_policies(self):
        text = automation("prod", "apps/prod") + "  policySelector: {matchLabels: {tier: web}}\n"
        files = {**FILES, "clusters/main/automation.yaml": text}
        assert drafted(files).drafts == ()
        labelled = IMAGES.replace(
            "kind: ImagePolicy\nmetadata: {name: web,", "kind: ImagePolicy\nmetadata: {name: web, labels: {tier: web},"
        )
        assert [each.name for each in drafted({**files, "clusters/main/images.yaml": labelled}).drafts] == ["web"]


def test_workloads_of_two_namespaces_are_two_declarations():
    files = {**FILES, "apps/prod/second.yaml": DEPLOYMENT.replace("namespace: shop", "namespace: outlet")}
    found = drafted(files)
    assert [(each.namespace, each.name) for each in found.drafts if each.spec["environment"] == "prod"] == [
        ("outlet", "web"), ("shop", "web"),
    ]  # fmt: skip
    assert changed_lines(plan_of(with_drafts(files, found), TAGS)) == by_flux(files, LATEST)


class TestSeveralAutomations:
    def files(self, *automations: str, **more: str) -> dict[str, str]:
        return {**FILES, "clusters/main/automation.yaml": "---\n".join(automations), **more}

    def follow_flux(self, files):
        """What is drafted is valid, changes what Flux's setters would, and is drafted again alike."""
        found = drafted(files)
        tree = with_drafts(files, found)
        assert validate(MemoryTree({path: text.encode() for path, text in tree.items()})).problems == ()
        assert changed_lines(plan_of(tree, TAGS)) == by_flux(files, LATEST)
        assert drafted(tree).drafts == found.drafts
        return found

    def test_one_of_the_whole_repository_makes_one_environment(self):
        files = self.files(automation("all", "./"), automation("prod", "apps/prod"))
        files["clusters/main/automation.yaml"] += "  policySelector: {matchLabels: {tier: none}}\n"
        del files["other/web.yaml"]
        assert [each["path"] for each in self.follow_flux(files).environments] == ["."]

    def test_of_one_folder_they_do_not_declare_the_same_twice(self):
        files = self.files(
            automation("one", "apps/prod"), automation("two", "apps/prod"), automation("dev", "apps/dev")
        )
        found = self.follow_flux(files)
        assert len(found.drafts) == 2
        assert "flux-system/two: what it changes is declared for another automation, too" in notes(files)

    def test_of_nested_folders_the_inner_one_has_what_lies_below_it(self):
        files = self.files(automation("apps", "apps"), automation("prod", "apps/prod"))
        assert [(each.name, each.spec["environment"]) for each in self.follow_flux(files).drafts] == [
            ("jobs", "apps"), ("web", "prod"),
        ]  # fmt: skip

    def test_what_one_of_them_suspends_another_one_does(self):
        asleep = automation("asleep", "apps/prod").replace("  interval: 30m\n", "  interval: 30m\n  suspend: true\n")
        files = self.files(asleep, automation("awake", "apps"))
        assert not any("suspend" in each.spec for each in self.follow_flux(files).drafts)

    def test_of_one_folder_each_delivers_as_it_did(self):
        files = self.files(automation("prod", "apps/prod"), automation("rest", ".", "updates"))
        del files["other/web.yaml"]
        found = drafted(files)
        assert all("delivery" not in each for each in found.environments)
        assert {each.name: each.spec.get("delivery") for each in found.drafts} == {
            "web": None, "jobs": {"mode": "PullRequest"},
        }  # fmt: skip

    def test_of_other_repositories_or_branches_it_is_told(self):
        source = IMAGES.partition("---\n")[0].replace("fleet", "other")
        other = automation("other", "apps/dev").replace("name: fleet", "name: other")
        told = notes(self.files(automation("prod", "apps/prod"), other, **{"clusters/main/other.yaml": source}))
        for name, repository in (("prod", "fleet"), ("other", "other")):
            text = (
                f"it commits to main of https://git.example.com/shop/{repository}; a run of gitcd works on one branch"
            )
            assert f"ImageUpdateAutomation flux-system/{name}: {text}" in told
        branch = automation("dev", "apps/dev").replace("branch: main", "branch: next")
        assert "flux-system/dev: it commits to next of" in notes(self.files(automation("prod", "apps/prod"), branch))
        assert "it commits to" not in notes(FILES)


def test_where_nothing_is_declared_there_is_no_environment():
    files = {path: text.replace(f"image: {WEB},", "image: '${REGISTRY}/shop/web',") for path, text in FILES.items()}
    assert "'${REGISTRY}' is not a registry host, so nothing is declared" in notes(files)
    assert [each["name"] for each in drafted(files).environments] == ["dev"]


def test_a_marked_file_that_is_never_changed_is_told():
    told = notes({**FILES, "apps/prod/.github/web.yaml": DEPLOYMENT})
    assert "apps/prod/.github/web.yaml is no file that gitcd changes" in told


def test_policies_of_two_namespaces_may_have_one_name():
    second = {
        "clusters/main/second.yaml": (IMAGES + "---\n" + automation("prod", "apps/prod")).replace(
            "flux-system", "team"
        ),
        "apps/prod/second.yaml": DEPLOYMENT.replace("flux-system", "team"),
    }
    files = {**FILES, **second}
    found = drafted(files)
    assert [each.name for each in found.drafts if each.spec["environment"] == "prod"] == ["web", "web-2"]
    report = validate(MemoryTree({path: text.encode() for path, text in with_drafts(files, found).items()}))
    assert report.problems == ()


def test_objects_may_leave_their_namespace_to_a_kustomization():
    bare = {
        path: FILES[path].replace(", namespace: flux-system}", "}") for path in FILES if path.startswith("clusters/")
    }
    found = drafted({**FILES, **bare})
    assert changed_lines(plan_of(with_drafts({**FILES, **bare}, found), TAGS)) == by_flux(FILES, LATEST)


NAMES = {"web": (WEB, "1.0.0", "1.1.0"), "jobs": (JOBS, "main-abc-1", "main-def-2")}


POD = "kind: Deployment\nmetadata: {name: a, namespace: shop}\nspec:\n  template:\n    spec:\n      containers:"


@st.composite
def marked_files(draw):
    """A file with one image, in any form, marked or not."""
    name = draw(st.sampled_from(sorted(NAMES)))
    repository, *tags = NAMES[name]
    tag = draw(st.sampled_from(tags))
    whole, part, repo = (
        f" {mark(each)}" if draw(st.booleans()) else "" for each in (name, f"{name}:tag", f"{name}:name")
    )
    quote = draw(st.sampled_from(["", '"', "'"]))
    tag = f"{quote}{tag}{quote}"
    image = f"{repository}:{tag.strip(quote)}" if quote else f"{repository}:{tag}"
    return draw(
        st.sampled_from(
            [
                f"{POD}\n      - name: a\n        image: {image}{whole}\n",
                f"kind: Widget\nspec:\n  image: {image}{whole}\n",
                f"kind: Kustomization\nimages:\n- name: a\n  newName: {repository}{repo}\n  newTag: {tag}{part}\n",
                f"values:\n  image:\n    repository: {repository}{repo}\n    tag: {tag}{part}\n",
                f"versions:\n- of: {name}\n  is: {tag}{part}\n",
                f"image: {image}{whole}\n",
            ]
        )
    )


@settings(max_examples=50, deadline=None)
@given(st.lists(marked_files(), min_size=1, max_size=4))
def test_whatever_is_marked_changes_and_nothing_else(texts):
    files = {path: FILES[path] for path in FILES if path.startswith("clusters/")}
    files |= {f"apps/prod/{number}.yaml": text for number, text in enumerate(texts)}
    found = drafted(files)
    if not found.drafts:
        assert by_flux(files, LATEST) == set()
        return
    plan = plan_of(with_drafts(files, found), TAGS)
    besides = any("gitcd changes it as well" in str(note) for note in found.notes)
    assert not {each.kind for each in plan.outcomes} & {OutcomeKind.FAILED, OutcomeKind.BLOCKED}
    assert besides or changed_lines(plan) == by_flux(files, LATEST)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_what_is_of_another_type_than_it_should_be_stops_nothing(data):
    path = data.draw(st.sampled_from(sorted(each for each in FILES if each.startswith("clusters/"))))
    found = drafted({**FILES, path: broken(FILES[path], data.draw)})
    assert [each.problems() for each in found.drafts] == [[] for _ in found.drafts]
