"""The doctor, with a real remote and the stand-in for ECR."""

import json
from dataclasses import replace

import pytest

from gitcd.model.settings import Ecr, Forge, Settings
from gitcd.usecases import doctor, doctor_upkeep
from gitcd.usecases.context import Selection
from gitcd.usecases.doctor import Verdict, examine
from gitcd.usecases.protecting import keep_tag
from gitcd.usecases.workspace import Workspace
from tests.support.ecr import StandIn
from tests.support.lifecycle import rule
from tests.support.memoryforge import MemoryForge
from tests.support.repos import make_bare
from tests.support.scenes import LAYOUT, app_files

APP = "team/app"
ARN = "arn:aws:ecr:us-east-1:123456789012:repository/team/app"


@pytest.fixture
def ecr():
    with StandIn() as server:
        server.create(APP, immutable=True, filters=["env-*"])
        server.put(APP, tags=["1.0.0", "env-dev"])
        yield server


@pytest.fixture
def remote(tmp_path):
    return make_bare(tmp_path / "remote.git", {"gitcd.yaml": LAYOUT} | app_files("app"))


def every_check(ecr, repo, **changes):
    settings = Settings(repo=str(repo), ecr=Ecr(endpoint_url=ecr.url))
    return list(examine(Workspace(replace(settings, **changes))))


def examined(ecr, repo, **changes):
    return {check.name: check for check in every_check(ecr, repo, **changes)}


def test_all_is_well(ecr, remote):
    checks = examined(ecr, remote.url)
    assert {name: check.verdict for name, check in checks.items()} == dict.fromkeys(
        ["git", "repository", "push", "declarations", "registry", "lifecycle", "mutability"], Verdict.OK
    )
    assert "1 ContainerVersion in 2 environments" in checks["declarations"].message
    said = checks["registry"].message
    assert said == f"123456789012.dkr.ecr.us-east-1.amazonaws.com (asked at {ecr.url}): 1 of 1 repositories answer"
    assert checks["lifecycle"].message == "no rule takes what git deploys, in 1 of 1 repository"
    assert checks["mutability"].message == "versions stay and followed tags can move, in 1 of 1 repository"


class TestSelected:
    """Two environments, of which prod is delivered by pull request and has a registry that is in trouble."""

    @pytest.fixture
    def both(self, ecr, tmp_path):
        layout = LAYOUT.replace(b"envs/prod}", b"envs/prod, delivery: {mode: PullRequest}}")
        assert layout != LAYOUT
        prod = {path.replace("envs/dev", "envs/prod"): data for path, data in app_files("other").items()}
        ecr.create("team/other")
        return make_bare(tmp_path / "both.git", {"gitcd.yaml": layout} | app_files("app") | prod)

    def examined(self, ecr, both, *environments, apps=()):
        workspace = Workspace(Settings(repo=both.url, ecr=Ecr(endpoint_url=ecr.url)))
        found = examine(workspace, Selection(frozenset(environments), frozenset(apps)))
        return {check.name: check for check in found}

    def test_everything_is_asked_for_by_default(self, ecr, both):
        checks = self.examined(ecr, both)
        assert checks["declarations"].message == "2 ContainerVersions in 2 environments"
        assert (checks["registry"].verdict, checks["forge"].verdict) == (Verdict.FAILED, Verdict.FAILED)

    @pytest.mark.parametrize("selected", [{"environments": ["dev"]}, {"apps": ["app"]}])
    def test_what_is_selected_alone_is_asked_for(self, ecr, both, selected):
        checks = self.examined(ecr, both, *selected.get("environments", ()), apps=selected.get("apps", ()))
        assert {each.verdict for each in checks.values()} == {Verdict.OK}
        assert checks["declarations"].message == "1 of 2 ContainerVersions in 2 environments"
        assert "1 of 1 repositories answer" in checks["registry"].message
        assert "forge" not in checks

    def test_a_selection_that_meets_nothing_is_a_failure(self, ecr, both):
        check = self.examined(ecr, both, "staging")["declarations"]
        assert (check.verdict, check.message) == (Verdict.FAILED, "nothing is selected by --environment staging")
        assert check.remedy == "There are: dev, prod."


def test_a_branch_that_is_not_there(ecr, remote):
    check = examined(ecr, remote.url, branch="trunk")["repository"]
    assert check.verdict is Verdict.FAILED
    assert "main" in check.remedy


def test_a_work_tree_is_read_as_it_lies(ecr, tmp_path):
    for path, data in app_files("app").items():
        (tmp_path / "tree" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / path).write_bytes(data)
    checks = examined(ecr, tmp_path / "tree")
    assert "push" not in checks
    assert checks["registry"].verdict is Verdict.OK


def test_F5_a_refusal_of_the_registry_names_the_permission(ecr, remote):
    ecr.fail("DescribeImages", "AccessDeniedException", times=-1)
    check = examined(ecr, remote.url)["registry"]
    assert check.verdict is Verdict.FAILED
    assert "ecr:DescribeImages" in check.remedy


def test_F2_missing_credentials_are_named(ecr, remote, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    check = examined(ecr, remote.url)["credentials"]
    assert check.verdict is Verdict.FAILED
    assert check.remedy


class TestPullRequests:
    """What is delivered by pull request needs a forge, and no push to the base."""

    @pytest.fixture
    def remote(self, tmp_path):
        by_pull = LAYOUT.replace(b"envs/dev}", b"envs/dev, delivery: {mode: PullRequest}}")
        return make_bare(tmp_path / "pulls.git", {"gitcd.yaml": by_pull} | app_files("app"))

    def test_where_nothing_is_proposed_no_forge_is_asked_for(self, ecr, tmp_path):
        remote = make_bare(tmp_path / "commits.git", {"gitcd.yaml": LAYOUT} | app_files("app"))
        assert "forge" not in examined(ecr, remote.url)

    def test_a_forge_that_is_not_named_is_told_before_a_run_needs_it(self, ecr, remote):
        check = examined(ecr, remote.url)["forge"]
        assert (check.verdict, check.message) == (
            Verdict.FAILED, "no pull request can be opened: no forge is named",
        )  # fmt: skip
        assert "GITCD_FORGE_KIND" in check.remedy

    def test_a_forge_is_read_and_nothing_is_written(self, ecr, remote, monkeypatch):
        forge = MemoryForge(remote.path)
        monkeypatch.setattr("gitcd.forge.opening.open_forge", lambda *_, **__: forge)
        check = examined(ecr, remote.url, forge=Forge(kind="gitea", token="a-token"))["forge"]
        assert (check.verdict, check.message) == (Verdict.OK, f"{forge.name}: 0 open pull requests to main")
        assert forge.writes == 0

    def test_a_base_that_refuses_pushes_is_a_failure_only_for_what_is_committed(self, ecr, remote, monkeypatch):
        monkeypatch.setattr(doctor, "push_permission", lambda *_: "protected branch")
        check = examined(ecr, remote.url)["push"]
        assert (check.verdict, check.message) == (Verdict.WARNING, "main may not be pushed to: protected branch")


def test_a_push_that_is_refused_is_a_failure(ecr, remote, monkeypatch):
    monkeypatch.setattr(doctor, "push_permission", lambda *_: "protected branch")
    check = examined(ecr, remote.url)["push"]
    assert (check.verdict, check.message) == (Verdict.FAILED, "main may not be pushed to: protected branch")


def test_broken_declarations_are_listed(ecr, remote):
    remote.commit({"envs/dev/bad.yaml": b"apiVersion: gitcd.io/v1\nkind: ContainerVersion\nmetadata: {name: bad}\n"})
    check = examined(ecr, remote.url)["declaration"]
    assert check.verdict is Verdict.FAILED
    assert "envs/dev/bad.yaml" in check.message


def test_a_repository_without_declarations_is_a_warning(ecr, tmp_path):
    remote = make_bare(tmp_path / "plain.git", {"README": b"hello\n"})
    assert examined(ecr, remote.url)["declarations"].verdict is Verdict.WARNING


class TestLifecycle:
    def check(self, ecr, remote):
        before = ecr.contents(APP)
        check = examined(ecr, remote.url)["lifecycle"]
        assert ecr.contents(APP) == before
        return check

    def test_a_rule_for_any_image_takes_what_is_deployed(self, ecr, remote):
        ecr.set_policy(APP, rule(3, "any"))
        check = self.check(ecr, remote)
        assert check.verdict is Verdict.WARNING
        assert "the lifecycle policy of" in check.message
        assert "rule 3 expires" in check.message
        assert "of dev/team/app" in check.message
        assert check.remedy.startswith("Run `gitcd ecr-tags protect`, and let the policy begin with this rule")

    def test_the_rule_that_is_advised_works(self, ecr, remote):
        digest = ecr.put(APP, tags=["1.0.0"], manifest=ecr.create(APP).images[ecr.create(APP).tags["1.0.0"]].manifest)
        ecr.set_policy(APP, rule(3, "any"))
        ecr.move(APP, keep_tag("dev", digest), digest)
        check = self.check(ecr, remote)
        assert check.verdict is Verdict.WARNING
        assert check.remedy.startswith("Let the policy begin with this rule")
        advised = json.loads(check.remedy.partition(": ")[2])
        ecr.set_policy(APP, advised, rule(3, "any"))
        assert self.check(ecr, remote).verdict is Verdict.OK

    def test_a_keep_tag_alone_spares_from_rules_for_untagged_images(self, ecr, tmp_path):
        digest = ecr.put(APP)
        ecr.set_policy(APP, rule(1, "untagged"))
        files = app_files("app")
        path = "envs/dev/app/deployment.yaml"
        files[path] = files[path].replace(b":1.0.0", f"@{digest}".encode())
        remote = make_bare(tmp_path / "untagged.git", {"gitcd.yaml": LAYOUT} | files)
        check = self.check(ecr, remote)
        assert (check.verdict, check.remedy) == (Verdict.WARNING, "Run `gitcd ecr-tags protect`")
        ecr.move(APP, keep_tag("dev", digest), digest)
        assert self.check(ecr, remote).verdict is Verdict.OK

    def test_what_nobody_deploys_may_go(self, ecr, remote):
        for number in range(120):
            ecr.put(APP, tags=[f"old-{number}"])
        ecr.set_policy(APP, rule(1, "tagged", prefixes=["old-"]))
        assert self.check(ecr, remote).verdict is Verdict.OK

    def test_later_pages_are_read(self, ecr, remote):
        for number in range(120):
            ecr.put(APP, tags=[f"old-{number}"], pushed_at=1_790_000_000 + number)
        ecr.set_policy(APP, rule(1, "any"))
        assert self.check(ecr, remote).verdict is Verdict.WARNING
        assert ecr.counted()["GetLifecyclePolicyPreview"] == 2

    def test_the_archive_is_a_loss_too(self, ecr, remote):
        ecr.set_policy(APP, rule(1, "any", action="transition"))
        assert "rule 1 archives" in self.check(ecr, remote).message

    def test_a_preview_takes_its_time(self, ecr, remote):
        ecr.set_policy(APP, rule(1, "any"))
        ecr.create(APP).preview_delay = 2
        assert self.check(ecr, remote).verdict is Verdict.WARNING
        assert ecr.counted()["GetLifecyclePolicyPreview"] == 3

    def test_somebody_elses_preview_is_waited_for_and_not_taken(self, ecr, remote):
        ecr.set_policy(APP, rule(1, "any"))
        ecr.create(APP).preview = json.dumps({"rules": []})
        ecr.fail("StartLifecyclePolicyPreview", "LifecyclePolicyPreviewInProgressException", times=2)
        assert self.check(ecr, remote).verdict is Verdict.WARNING

    def test_a_preview_that_never_comes_is_told(self, ecr, remote, monkeypatch):
        monkeypatch.setattr(doctor, "_PATIENCE", 0.5)
        ecr.set_policy(APP, rule(1, "any"))
        ecr.create(APP).preview_delay = 10_000
        check = self.check(ecr, remote)
        assert check.verdict is Verdict.WARNING
        assert "PreviewLate" in check.message

    def test_a_preview_that_fails_is_told(self, ecr, remote):
        ecr.set_policy(APP, rule(1, "any"))
        ecr.create(APP).preview_status = "FAILED"
        assert "PreviewFailed" in self.check(ecr, remote).message

    @pytest.mark.parametrize("operation", ["StartLifecyclePolicyPreview", "GetLifecyclePolicyPreview"])
    def test_F5_a_missing_permission_is_named(self, ecr, remote, operation):
        ecr.set_policy(APP, rule(1, "any"))
        ecr.fail(operation, "AccessDeniedException", times=-1)
        check = self.check(ecr, remote)
        assert check.verdict is Verdict.WARNING
        assert f"not allowed to call ecr:{operation} on {ARN}" in check.message
        assert "allow ecr:StartLifecyclePolicyPreview and ecr:GetLifecyclePolicyPreview" in check.remedy

    def test_places_that_cannot_be_read_are_told_beside(self, ecr, remote):
        path = "envs/dev/app/deployment.yaml"
        remote.commit({path: remote.show(path).replace(b"team/app:", b"team/else:")})
        found = [each for each in every_check(ecr, remote.url) if each.name == "lifecycle"]
        assert [each.verdict for each in found] == [Verdict.WARNING, Verdict.OK]
        assert "dev/team/app" in found[0].message


class TestMutability:
    def check(self, ecr, remote, *, immutable, filters=()):
        repository = ecr.create(APP)
        repository.immutable, repository.filters = immutable, tuple(filters)
        return [each for each in every_check(ecr, remote.url) if each.name == "mutability"]

    def test_versions_that_may_move(self, ecr, remote):
        (check,) = self.check(ecr, remote, immutable=False)
        assert check.verdict is Verdict.WARNING
        assert "versions of" in check.message
        assert "(1.0.0): its tag mutability is MUTABLE" in check.message
        assert check.remedy == (
            "Where nothing else moves: aws ecr put-image-tag-mutability --registry-id 123456789012 --region us-east-1 "
            "--repository-name team/app --image-tag-mutability IMMUTABLE_WITH_EXCLUSION "
            "--image-tag-mutability-exclusion-filters 'filterType=WILDCARD,filter=env-dev'"
        )

    def test_followed_tags_that_cannot_move(self, ecr, remote):
        (check,) = self.check(ecr, remote, immutable=True, filters=["latest"])
        assert "followed tags of" in check.message
        assert "cannot move (env-dev)" in check.message
        assert "'filterType=WILDCARD,filter=latest' 'filterType=WILDCARD,filter=env-dev'" in check.remedy

    def test_both_at_once(self, ecr, remote):
        checks = self.check(ecr, remote, immutable=False, filters=["env-*"])
        assert [each.verdict for each in checks] == [Verdict.WARNING] * 2

    def test_more_tags_than_ecr_takes_exceptions_get_one_in_common(self, ecr, remote):
        files = {}
        for number in range(6):
            file = app_files("app")["envs/dev/app/cv.yaml"].replace(b"name: app", f"name: app{number}".encode())
            files[f"envs/dev/app/cv{number}.yaml"] = file.replace(b"env-dev", f"env-dev{number}".encode())
            ecr.move(APP, f"env-dev{number}", ecr.create(APP).tags["1.0.0"])
        remote.commit(files)
        (check,) = self.check(ecr, remote, immutable=True)
        assert check.remedy.endswith(" 'filterType=WILDCARD,filter=env-dev*'")

    @pytest.mark.parametrize(
        "followed", [b"tag: 1.0.0", b"follow: {semver: '*'}", b"follow: {newest: {match: '1[.].*'}}"]
    )
    def test_a_followed_version_is_meant_to_stay(self, ecr, tmp_path, followed):
        path = "envs/dev/app/cv.yaml"
        files = app_files("app")
        files[path] = files[path].replace(b"tag: env-dev", followed)
        remote = make_bare(tmp_path / "versions.git", {"gitcd.yaml": LAYOUT} | files)
        (check,) = self.check(ecr, remote, immutable=True)
        assert check.verdict is Verdict.OK
        (check,) = self.check(ecr, remote, immutable=False)
        assert check.remedy.endswith("--image-tag-mutability IMMUTABLE")

    def test_F5_a_missing_permission_is_named(self, ecr, remote):
        ecr.fail("DescribeRepositories", "AccessDeniedException", times=-1)
        (check,) = [each for each in every_check(ecr, remote.url) if each.name == "mutability"]
        assert check.verdict is Verdict.WARNING
        assert "ecr:DescribeRepositories" in check.remedy


def test_a_repository_that_does_not_answer_is_told_of_once(ecr, remote):
    remote.commit(app_files("gone"))
    checks = every_check(ecr, remote.url)
    assert [check.name for check in checks if check.verdict is not Verdict.OK] == ["registry"]


def test_previews_that_do_not_answer_in_time_are_told(ecr, remote, monkeypatch):
    monkeypatch.setattr(doctor, "_PATIENCE", 0.2)
    monkeypatch.setattr(doctor_upkeep, "_GRACE", 0.1)
    ecr.fail("StartLifecyclePolicyPreview", delay=1.5)
    check = examined(ecr, remote.url)["lifecycle"]
    assert check.verdict is Verdict.WARNING
    assert "DeadlineExceeded" in check.message
