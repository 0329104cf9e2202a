from pathlib import Path

import pytest

from gitcd.model.tree import MemoryTree, Mode
from gitcd.usecases.validate import Report, validate

EXAMPLE = Path(__file__).parents[2] / "examples" / "config-repo"
HOLD = "reject: [{digest: 'sha256:" + "a" * 64 + "'}]\n"
LAYOUT = """\
apiVersion: gitcd.io/v1
kind: ConfigRepository
environments:
- name: dev
  path: envs/dev
- name: prod
  paths: [envs/prod]
  delivery: {mode: PullRequest}
  promoteFrom: dev
"""


def cv(name="tiles", namespace="maps", more=""):
    return (
        f"apiVersion: gitcd.io/v1\nkind: ContainerVersion\nmetadata: {{name: {name}, namespace: {namespace}}}\n"
        f"spec:\n  imageRepo: registry.example.com/maps/tiles\n  tag: env\n{more}"
    )


def check(files: dict[str, str], **modes: Mode) -> Report:
    return validate(MemoryTree({path: text.encode() for path, text in files.items()}, modes))


def problems(files: dict[str, str]) -> list[str]:
    return [str(problem) for problem in check(files).problems]


def test_the_example_is_valid():
    files = {str(path.relative_to(EXAMPLE)): path.read_bytes() for path in EXAMPLE.rglob("*") if path.is_file()}
    report = validate(MemoryTree(files))
    assert report.problems == ()
    assert report.ok
    assert report.declarations > 10
    assert report.environments == 3


def test_a_repository_without_layout_is_valid():
    report = check({"app/cv.yaml": cv(), "app/deployment.yaml": "kind: Deployment\n", "README.md": "ContainerVersion"})
    assert report.ok
    assert (report.declarations, report.holds, report.environments) == (1, 0, 0)


def test_without_layout_what_lies_apart_is_told_how_far_it_reaches():
    files = {
        ".gitcd/declarations/a.yaml": cv(more="  environment: dev\n"),
        ".gitcd/declarations/b.yaml": cv(name="other", more="  environment: dev\n"),
        "envs/dev/deployment.yaml": "image: registry.example.com/maps/tiles:1\n",
    }
    first, _ = check(files).warnings
    assert first.message.endswith("was found in none of the 0 manifests of .gitcd/declarations")
    assert first.remedy == (
        "There is no gitcd.yaml, so a declaration reaches its own folder and those below. "
        "No manifest there mentions that repository."
    )


def test_F51_faults_of_all_files_are_reported_at_once():
    found = problems(
        {
            "gitcd.yaml": LAYOUT.replace("promoteFrom", "promotFrom"),
            "envs/dev/a.yaml": cv(more="  pinn: Digest\n"),
            "envs/dev/b.yaml": "kind: ContainerVersion\n{",
            ".gitcd/holds/dev/maps.tiles.yaml": "freez: true\n",
        }
    )
    assert [line.partition(" ")[0] for line in found] == [
        ".gitcd/holds/dev/maps.tiles.yaml:1:1:",
        "envs/dev/a.yaml:7:3:",
        "envs/dev/b.yaml:3:1:",
        "gitcd.yaml:9:3:",
    ]
    assert found[1].endswith("maps/tiles: spec.pinn: is not a known field\n  Did you mean pin?")
    assert "Did you mean freeze?" in found[0]


def test_a_misspelt_kind_of_layout_is_reported_once():
    text = LAYOUT.replace("ConfigRepository", "ConfigRepositoy")
    assert problems({"gitcd.yaml": text}) == [
        "gitcd.yaml:2:1: kind: 'ConfigRepositoy' is not ConfigRepository\n  Did you mean ConfigRepository?"
    ]


def test_unknown_sources_of_promotion_are_named():
    (found,) = problems({"gitcd.yaml": LAYOUT.replace("promoteFrom: dev", "promoteFrom: dve")})
    assert found == (
        "gitcd.yaml:9:3: environments[1].promoteFrom: 'dve' is not an environment of this file\n  Did you mean dev?"
    )


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        ({"a": "a"}, {"a from a"}),
        ({"a": "b", "b": "a"}, {"a from b from a", "b from a from b"}),
        ({"a": "b", "b": "c", "c": "b"}, {"b from c from b", "c from b from c"}),
        ({"a": "b", "b": ""}, set()),
    ],
)
def test_promotion_in_a_circle_is_found(sources, expected):
    environments = ", ".join(f"{{name: {name}, path: e/{name}, promoteFrom: '{of}'}}" for name, of in sources.items())
    found = problems({"gitcd.yaml": f"environments: [{environments}]\n"})
    assert {line.rpartition(": ")[2] for line in found} == expected


def test_files_that_two_environments_claim_alike_are_reported_once():
    layout = "environments:\n- {name: a, path: envs/x}\n- {name: b, paths: [envs/x, y]}\n"
    (found,) = problems({"gitcd.yaml": layout, "envs/x/1.yaml": "", "envs/x/2.yaml": "", "y/3.yaml": ""})
    assert found.startswith(
        "gitcd.yaml:3:3: environments[1]: envs/x/1.yaml and 1 more files would belong to a and b alike"
    )


def test_the_longer_path_is_no_tie():
    layout = "environments: [{name: a, path: envs}, {name: b, path: envs/b}]\n"
    assert problems({"gitcd.yaml": layout, "envs/b/1.yaml": "", "envs/2.yaml": ""}) == []


@pytest.mark.parametrize(
    ("path", "more", "expected"),
    [
        ("envs/dev/cv.yaml", "  environment: prod\n", "belongs to environment dev, but spec.environment says prod"),
        ("elsewhere/cv.yaml", "", "outside every environment"),
        ("elsewhere/cv.yaml", "  environment: staging\n", "names staging"),
        ("elsewhere/cv.yaml", "  environment: prod\n", ""),
        ("envs/prod/cv.yaml", "  delivery: {mode: Commit}\n", "asks for less than environment prod"),
        ("envs/prod/cv.yaml", "  delivery: {mode: PullRequest}\n", ""),
        ("envs/dev/cv.yaml", "  delivery: {mode: Commit}\n", ""),
    ],
)
def test_declarations_fit_their_environment(path, more, expected):
    found = problems({"gitcd.yaml": LAYOUT, path: cv(more=more)})
    if expected:
        assert [f"{path}:1: maps/tiles: " in line and expected in line for line in found] == [True]
    else:
        assert found == []


def test_one_identity_twice_is_wrong_for_both():
    found = problems({"gitcd.yaml": LAYOUT, "envs/dev/a.yaml": cv(), "envs/dev/b.yaml": cv(), "envs/prod/a.yaml": cv()})
    assert len(found) == 2
    assert "dev/maps/tiles is declared again in envs/dev/b.yaml:1" in found[0]
    assert "dev/maps/tiles is declared again in envs/dev/a.yaml:1" in found[1]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (".gitcd/holds/dev/maps.tiles.yaml", ""),
        (".gitcd/holds/dev/maps.tils.yaml", "Did you mean dev/maps/tiles?"),
        (".gitcd/holds/staging/maps.tiles.yaml", "there is no declaration staging/maps/tiles"),
        (".gitcd/holds/dev/tiles.yaml", "the path names no declaration"),
        (".gitcd/holds/maps.tiles.yml", "the path names no declaration"),
    ],
)
def test_holds_name_a_declaration(path, expected):
    found = problems({"gitcd.yaml": LAYOUT, "envs/dev/cv.yaml": cv(), path: HOLD})
    if expected:
        (line,) = found
        assert expected in line
        assert line.startswith(path)
    else:
        assert found == []


def test_holds_of_declarations_that_could_not_be_read_are_let_be():
    found = problems(
        {"gitcd.yaml": LAYOUT, "envs/dev/cv.yaml": cv(more="  x: 1\n"), ".gitcd/holds/dev/maps.tiles.yaml": HOLD}
    )
    assert len(found) == 1
    assert "spec.x" in found[0]


def test_a_broken_layout_does_not_hide_faults_of_declarations():
    found = problems(
        {"gitcd.yaml": "environments: [", "envs/dev/cv.yaml": cv(more="  x: 1\n"), ".gitcd/holds/a/b.c.yaml": "x: 1"}
    )
    assert len(found) == 3


def test_T5_a_symbolic_link_is_not_read():
    tree = MemoryTree({"a/cv.yaml": cv(more="  x: 1\n").encode()}, {"a/cv.yaml": Mode.SYMLINK})
    assert validate(tree) == Report(0, 0, 0, ())


def test_T32_one_hostile_declaration_lets_fifty_others_be_read():
    hostile = cv(more="  versionSyntax: '(a+)+" + "(b|b)*" * 30 + "'\n  selector: {" + "x: y, " * 20_000 + "}\n")
    files = {f"envs/dev/cv{number}.yaml": cv(f"app{number}") for number in range(50)}
    report = check({"gitcd.yaml": LAYOUT, "envs/dev/hostile.yaml": hostile, **files})
    assert report.declarations == 50
    assert {problem.path for problem in report.problems} == {"envs/dev/hostile.yaml"}


REPO = "123456789012.dkr.ecr.us-east-1.amazonaws.com/maps/tiles"
DEPLOYMENT = f"""\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: tiles, labels: {{app: tiles}}}}
spec: {{template: {{spec: {{containers: [{{name: main, image: "{REPO}:1.0.0"}}]}}}}}}
"""


def ecr(more="  selector: {app: tiles}\n"):
    return cv(more=more).replace("registry.example.com/maps/tiles", REPO)


def warnings(files: dict[str, str]) -> list[str]:
    report = check(files)
    assert report.problems == ()
    return [str(each) for each in report.warnings]


class TestForesight:
    """What a run would say, as far as no registry is needed to know it."""

    LAYOUT = LAYOUT.partition("- name: prod")[0]

    def files(self, declaration: str, layout: str = LAYOUT) -> dict[str, str]:
        return {"gitcd.yaml": layout, "envs/dev/cv.yaml": declaration, "envs/dev/app.yaml": DEPLOYMENT}

    def test_what_runs_is_not_warned_of(self):
        assert warnings(self.files(ecr(), self.LAYOUT)) == []

    def test_every_field_that_is_not_supported_yet_is_named_where_it_stands(self):
        layout = self.LAYOUT + "  markers: true\n  gates: {minSoak: 24h}\n"
        found = warnings(self.files(ecr(), layout))
        assert [each.partition(" is not supported")[0] for each in found] == [
            "gitcd.yaml:7:11: environments[0].gates.minSoak:",
        ]

    def test_any_registry_will_do_and_a_rule_by_age_where_the_age_is_told(self):
        plain = cv(more="  selector: {app: tiles}\n")
        files = self.files(plain)
        files["envs/dev/app.yaml"] = DEPLOYMENT.replace(REPO, "registry.example.com/maps/tiles")
        assert warnings(files) == []
        files["envs/dev/cv.yaml"] = plain.replace("  tag: env\n", "  follow: {newest: {match: '.*'}}\n")
        (found,) = warnings(files)
        assert found.startswith(
            "envs/dev/cv.yaml:6:12: maps/tiles: spec.follow.newest: registry.example.com/maps/tiles"
        )
        report = validate(MemoryTree({path: text.encode() for path, text in files.items()}), ["registry.example.com"])
        assert report.warnings == ()

    def test_paths_that_match_nothing_are_named(self):
        layout = self.LAYOUT + "- name: prod\n  paths: [envs/prod, envs/production]\n"
        paths = "  selector: {app: tiles}\n  paths: [envs/dev, dev/tiles]\n"
        files = self.files(ecr(paths), layout) | {"envs/prod/README.md": ""}
        assert warnings(files) == [
            (
                "envs/dev/cv.yaml:8:21: maps/tiles: spec.paths[1]: matches no file of environment dev\n"
                "  Correct it. Paths count from the root of the repository."
            ),
            "gitcd.yaml:7:22: environments[1].paths[1]: matches no file\n  Correct it, or add the folder.",
        ]

    def test_a_check_that_needs_more_time_than_there_is_is_warned_of(self):
        check = "{kind: HTTP, service: tiles, interval: 1m, count: %d}"
        strategy = "  selector: {app: tiles}\n  timeouts: {verify: 5m}\n  strategy:\n    kind: Canary\n"
        canary = f"    canary: {{steps: [{{weight: 10, verify: [{check % 7}]}}]}}\n    verify: [{check % 6}]\n"
        (found,) = warnings(self.files(ecr(strategy + canary)))
        assert "spec.strategy.canary.steps[0].verify[0]: 7 passes in a row, one every 1m, take 6m" in found
        assert "spec.timeouts.verify is 5m, so it never passes" in found

    def test_a_workload_that_nothing_selects_is_a_problem(self):
        (found,) = problems(self.files(ecr("")))
        assert found.startswith("envs/dev/cv.yaml:1: maps/tiles: ")
        assert "neither spec.selector nor spec.workload" in found
        assert "envs/dev/app.yaml:4 Deployment/tiles" in found

    def test_manifests_may_come_later(self):
        files = self.files(ecr())
        del files["envs/dev/app.yaml"]
        (found,) = warnings(files)
        assert "was found in none of the 1 manifests of environment dev" in found

    def test_what_contradicts_a_manifest_is_a_problem(self):
        files = self.files(ecr("  selector: {app: tiles}\n  container: {name: main}\n"))
        files["envs/dev/app.yaml"] = DEPLOYMENT.replace("maps/tiles", "maps/others")
        (found,) = problems(files)
        assert "but imageRepo is" in found

    def test_a_freeze_that_ends_before_it_begins_is_a_problem(self):
        layout = self.LAYOUT + "  freeze: [{from: 2026-12-20, until: 2026-12-01}]\n"
        assert problems(self.files(ecr(), layout)) == [
            (
                "gitcd.yaml:6:31: environments[0].freeze[0].until: ends at 2026-12-01, which is not after 2026-12-20, "
                "so it never freezes anything\n  Exchange from and until"
            )
        ]
