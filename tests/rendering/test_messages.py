import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitcd.errors import RefusedError
from gitcd.model import trailers
from gitcd.model.declaration import Identity, Origin
from gitcd.model.plan import Change, Direction, Outcome, OutcomeKind, PlannedCommit, Resolved
from gitcd.rendering.messages import commit_message

REPOSITORY = "123456789012.dkr.ecr.us-east-1.amazonaws.com/nearmap/tiles"
OLD, NEW = "sha256:" + "3f" * 32, "sha256:" + "9c" * 32


def outcome(
    name: str = "tiles",
    *,
    kind: OutcomeKind = OutcomeKind.BUMPED,
    environment: str = "prod",
    namespace: str = "maps",
    old: str = "1.4.2",
    new: str = "1.5.0",
    tag: str = "env-prod",
    repository: str = REPOSITORY,
    direction: Direction = Direction.FORWARD,
    paths: tuple[str, ...] = ("envs/prod/tiles/deployment.yaml",),
) -> Outcome:
    return Outcome(
        identity=Identity(environment, namespace, name),
        origin=Origin("envs/prod/tiles/containerversion.yaml", 1),
        kind=kind,
        image_repo=repository,
        resolved=Resolved(tag, new, NEW, datetime(2026, 11, 2, 10, 11, tzinfo=UTC)),
        old=old,
        old_digest=OLD,
        direction=direction,
        changes=tuple(Change(path, 21, "/spec", "a", "b") for path in paths),
    )


def commit(*outcomes: Outcome, kind: OutcomeKind = OutcomeKind.BUMPED) -> PlannedCommit:
    environments = tuple(dict.fromkeys(outcome.identity.environment for outcome in outcomes))
    return PlannedCommit(kind, environments, outcomes, ())


def subject(*outcomes: Outcome, kind: OutcomeKind = OutcomeKind.BUMPED) -> str:
    return commit_message(commit(*outcomes, kind=kind)).splitlines()[0]


def git_trailers(message: str) -> str:
    command = ["git", "interpret-trailers", "--parse"]
    return subprocess.run(command, input=message.encode(), capture_output=True, check=True).stdout.decode()


def test_one_image_is_told_in_full() -> None:
    assert commit_message(commit(outcome()), run="r1") == (
        "prod: tiles 1.4.2 -> 1.5.0\n"
        "\n"
        "maps/tiles 1.4.2 -> 1.5.0\n"
        f"  image   {REPOSITORY}:env-prod\n"
        "  digest  3f3f3f3f3f3f -> 9c9c9c9c9c9c, pushed 2026-11-02 10:11 UTC\n"
        "  file    envs/prod/tiles/deployment.yaml\n"
        "\n"
        "Gitcd-Environment: prod\n"
        "Gitcd-App: maps/tiles\n"
        f"Gitcd-Digest: {NEW}\n"
        "Gitcd-Run: r1\n"
    )


def test_subjects() -> None:
    assert subject(outcome("a"), outcome("b")) == "prod: a, b 1.4.2 -> 1.5.0"
    assert subject(outcome("a"), outcome("b", new="2.0.0")) == "prod: 2 images"
    assert subject(outcome(old="1.5.0")) == "prod: tiles 1.5.0"
    assert subject(outcome(old="")) == "prod: tiles 1.5.0"
    assert subject(outcome(new="")) == "prod: tiles 1.4.2 -> env-prod"
    assert subject(outcome(old="a" * 40, new="b" * 40)) == f"prod: tiles {'a' * 12} -> {'b' * 12}"
    assert subject(outcome("n" * 80)) == "prod: 1 image"
    assert subject(outcome("a"), outcome("b", environment="dev")) == "prod, dev: 2 images"
    many = [outcome(environment=f"environment-number-{number}") for number in range(9)]
    assert subject(*many) == "9 environments: 9 images"


def test_a_pin_only_commit_says_that_the_content_stays() -> None:
    one = outcome(kind=OutcomeKind.PIN_ONLY, old="1.5.0")
    three = [outcome(name, kind=OutcomeKind.PIN_ONLY, old=name) for name in "abc"]
    assert subject(one, kind=OutcomeKind.PIN_ONLY) == "prod: pin tiles 1.5.0, content unchanged"
    assert subject(*three, kind=OutcomeKind.PIN_ONLY) == "prod: pin 3 images, content unchanged"
    assert "pods restart" in commit_message(commit(one, kind=OutcomeKind.PIN_ONLY))


def test_the_way_back_is_pointed_out() -> None:
    assert "backward" in commit_message(commit(outcome(direction=Direction.BACKWARD)))
    assert "backward" not in commit_message(commit(outcome()))


def test_only_what_changed_is_told() -> None:
    message = commit_message(commit(outcome("a"), outcome("quiet", kind=OutcomeKind.CURRENT)))
    assert "quiet" not in message


def test_a_thousand_images_fit_and_every_one_has_its_trailer() -> None:
    message = commit_message(commit(*(outcome(f"app-{number}") for number in range(1000))))
    assert "and 600 more" in message
    assert len(list(trailers.parse(message))) == 1000
    assert len(message.split("Gitcd-Environment")[0].encode()) < 64 * 1024


def test_the_operators_template_is_used_but_trailers_stay_ours(tmp_path: Path) -> None:
    template = "deploy {{ items[0].name }}\n\nSigned-off-by: somebody\nGitcd-App: forged/app\n---\n# x\n"
    (tmp_path / "commit-message.j2").write_text(template)
    message = commit_message(commit(outcome()), folder=tmp_path)
    assert message.startswith(
        "deploy tiles\n\nSigned-off-by: somebody\n> Gitcd-App: forged/app\n ---\n # x\n\nGitcd-Env"
    )
    assert [move.identity.app for move in trailers.parse(message)] == ["maps/tiles"]
    assert git_trailers(message).splitlines() == trailers.render(trailers.parse(message)).splitlines()


def test_an_empty_template_leaves_the_subject(tmp_path: Path) -> None:
    (tmp_path / "commit-message.j2").write_text("\n\n")
    assert commit_message(commit(outcome()), folder=tmp_path).startswith("prod: tiles 1.4.2 -> 1.5.0\n\nGitcd-")


def test_a_secret_in_a_manifest_does_not_reach_the_message() -> None:
    token = "ghp_" + "a1B2" * 9
    message = commit_message(commit(outcome(old=token, paths=(f"envs/{token}.yaml",))))
    assert token not in message


PAYLOADS = [
    "1.0\nSigned-off-by: Mallory <m@example.invalid>",
    "1.0\r\n\r\nGitcd-App: other/app\r\nGitcd-Digest: sha256:" + "0" * 64,
    "1.0\n---\ndiff --git a/x b/x",
    "1.0\n# ------------------------ >8 ------------------------",
    "1.0\u2028Co-authored-by: x",
    "1.0\x85Acked-by: x",
    "1.0\x0bReviewed-by: x",
    "@team please look",
    "closes #1",
    "![beacon](https://example.invalid/x.png)",
    "\x1b[31mred\u202e\u200b",
    "{{ items }}{% raw %}",
    "\ud800",
]


@pytest.mark.parametrize("payload", PAYLOADS)
def test_T21_hostile_text_forges_nothing(payload: str) -> None:
    bad = outcome(old=payload, new=payload, tag=payload, repository=payload, paths=(payload,))
    message = commit_message(commit(bad))
    assert git_trailers(message) == f"Gitcd-Environment: prod\nGitcd-App: maps/tiles\nGitcd-Digest: {NEW}\n"
    assert [move.identity.app for move in trailers.parse(message)] == ["maps/tiles"]
    assert "@team" not in message
    assert "#1" not in message
    assert not {"\x1b", "\u202e", "\u200b", "\r", "\x85", "\u2028"} & set(message)


@pytest.mark.parametrize("payload", ["a\nSigned-off-by: x", "a b", "", "a\x1b", "a\u2028b"])
def test_T21_a_name_that_breaks_a_trailer_is_refused(payload: str) -> None:
    for hostile in (outcome(payload, namespace=payload), outcome(environment=payload)):
        with pytest.raises(RefusedError, match="trailer"):
            commit_message(commit(hostile))


fields = st.text(max_size=80) | st.sampled_from(PAYLOADS)


@given(fields, fields, fields, fields, st.lists(fields, max_size=3))
def test_T21_any_field_leaves_exactly_our_trailers(
    old: str, new: str, tag: str, repository: str, paths: list[str]
) -> None:
    message = commit_message(commit(outcome(old=old, new=new, tag=tag, repository=repository, paths=tuple(paths))))
    assert len(message.splitlines()[0]) <= 72
    assert message.encode()
    assert [move.digest for move in trailers.parse(message)] == [NEW]
    body, _, block = message.rpartition("\n\n")
    assert block == f"Gitcd-Environment: prod\nGitcd-App: maps/tiles\nGitcd-Digest: {NEW}\n"
    assert not any(line.startswith(("---", "#", "Gitcd-")) for line in body.splitlines())


@pytest.mark.slow
def test_T21_git_reads_the_same_from_a_batch_of_any_fields() -> None:
    @given(fields, fields, fields)
    def check(old: str, new: str, tag: str) -> None:
        message = commit_message(commit(outcome(old=old, new=new, tag=tag)))
        assert git_trailers(message) == f"Gitcd-Environment: prod\nGitcd-App: maps/tiles\nGitcd-Digest: {NEW}\n"

    check()
