from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitcd.model.declaration import ContainerVersion, Metadata, Origin, Place, Spec
from gitcd.model.layout import ConfigRepository, Environment
from gitcd.planning.scopes import DEFAULT_ENVIRONMENT, Pattern, Reach, ScopeError, Scopes, Tie, is_manifest, is_safe

REPO = "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/app"


def layout(**paths):
    return ConfigRepository(
        tuple(Environment(name=name, paths=tuple(each)) for name, each in paths.items()),
    )


def declared(path="envs/dev/app/cv.yaml", **spec):
    return ContainerVersion(Metadata("app"), Spec(image_repo=REPO, tag="dev", **spec), Origin(path, 1))


class TestEnvironments:
    scopes = Scopes(
        layout(
            dev=["envs/dev"],
            prod=["envs/prod", "charts/*/values-prod.yaml"],
            eu=["envs/prod/eu"],
            all=["."],
        )
    )

    @pytest.mark.parametrize(
        ("path", "environment"),
        [
            ("envs/dev/a.yaml", "dev"),
            ("envs/dev", "dev"),
            ("envs/development/a.yaml", "all"),
            ("envs/prod/us/a.yaml", "prod"),
            ("envs/prod/eu/a.yaml", "eu"),
            ("charts/web/values-prod.yaml", "prod"),
            ("charts/web/deep/values-prod.yaml", "all"),
            ("README.md", "all"),
        ],
    )
    def test_the_most_specific_scope_wins(self, path, environment):
        assert self.scopes.environment_of(path) == environment

    def test_a_tie_is_told(self):
        scopes = Scopes(layout(a=["x/*/y"], b=["x/*/y"]))
        assert scopes.environment_of("x/1/y/z.yaml") == Tie("x/1/y/z.yaml", ("a", "b"))
        assert scopes.ties(["x/1/y/z.yaml", "other"]) == [Tie("x/1/y/z.yaml", ("a", "b"))]

    def test_outside_every_environment(self):
        assert Scopes(layout(dev=["envs/dev"])).environment_of("apps/a.yaml") is None

    def test_double_star_crosses_segments(self):
        pattern = Pattern.compile("**/prod")
        assert pattern.covers("prod/a.yaml") == 4
        assert pattern.covers("a/b/prod/c.yaml") == 8
        assert pattern.covers("a/production/c.yaml") == -1

    def test_at_its_end_it_is_all_below(self):
        assert Pattern.compile("envs/**").covers("envs/dev/a.yaml") == 4
        assert Pattern.compile("**").covers("a.yaml") == 0

    @pytest.mark.parametrize(
        "glob", ["**/" * 1000 + "no", "a/" + "*" * 1000 + "Q", "a/" + "*?" * 1000 + "Q", "a/" + "*a" * 30 + "Q"]
    )
    def test_T13_no_glob_of_a_tenant_keeps_a_run_from_ending(self, glob):
        assert Pattern.compile(glob).covers("/".join(["a", "a" * 200] * 50)) == -1

    @given(
        st.lists(st.sampled_from(["a", "b", "*", "**", "?", "a*", "*b", "[a]"]), min_size=1, max_size=5),
        st.lists(st.sampled_from(["a", "b", "ab", "[a]"]), min_size=1, max_size=5),
    )
    def test_a_glob_covers_the_shortest_part_that_fits(self, glob, path):
        lengths = [number for number in range(len(path) + 1) if fits(tuple(glob), tuple(path[:number]))]
        covered = Pattern.compile("/".join(glob)).covers("/".join(path))
        if any(set("*?[") & set(each) for each in glob):
            assert covered == (len("/".join(path[: lengths[0]])) if lengths else -1)


def fits(glob, path):
    """What the words say, tried in every way."""
    if not glob:
        return not path
    if glob[0] == "**":
        return fits(glob[1:], path) or (bool(path) and fits(glob, path[1:]))
    alike = bool(path) and (fnmatchcase(path[0], glob[0]) if "[" not in glob[0] else path[0] == glob[0])
    return alike and fits(glob[1:], path[1:])


class TestDeclarations:
    def test_without_layout_the_folder_is_the_scope(self):
        scopes = Scopes(None)
        declaration = declared("apps/web/cv.yaml")
        assert scopes.environment_for(declaration) == DEFAULT_ENVIRONMENT
        reach = scopes.reach(declaration, DEFAULT_ENVIRONMENT)
        assert isinstance(reach, Reach)
        assert reach.holds("apps/web/deep/d.yaml", None)
        assert not reach.holds("apps/webby/d.yaml", None)

    def test_a_file_s_place_decides(self):
        scopes = Scopes(layout(dev=["envs/dev"], prod=["envs/prod"]))
        assert scopes.environment_for(declared()) == "dev"
        clash = scopes.environment_for(declared(environment="prod"))
        assert isinstance(clash, ScopeError)
        assert "spec.environment says prod" in clash.message

    def test_outside_it_must_be_named_and_known(self):
        scopes = Scopes(layout(dev=["envs/dev"]))
        outside = ".gitcd/declarations/app.yaml"
        assert scopes.environment_for(declared(outside, environment="dev")) == "dev"
        assert isinstance(scopes.environment_for(declared(outside)), ScopeError)
        unknown = scopes.environment_for(declared(outside, environment="moon"))
        assert isinstance(unknown, ScopeError)
        assert "dev" in unknown.remedy

    @pytest.mark.parametrize(
        "path", ["../x", "a/../../x", "/etc", "a\\b", ".git/config", "a//b", "a/./b", "a\x00b", ".GIT/x"]
    )
    def test_T6_paths_never_leave_the_repository(self, path):
        assert not is_safe(path)
        scopes = Scopes(layout(dev=["envs/dev"]))
        assert isinstance(scopes.reach(declared(paths=(path,)), "dev"), ScopeError)
        place = Place(path, "/a", "tag")
        assert isinstance(scopes.reach(declared(places=(place,)), "dev"), ScopeError)

    @given(st.text(alphabet="ab./*\\", max_size=12), st.text(alphabet="ab./", max_size=12))
    def test_T6_reach_never_leaves_the_environment(self, narrowed, path):
        scopes = Scopes(layout(dev=["envs/dev"], prod=["envs/prod"]))
        reach = scopes.reach(declared(paths=(narrowed,) if narrowed else ()), "dev")
        owner = scopes.environment_of(path)
        if isinstance(reach, Reach) and reach.holds(path, None if isinstance(owner, Tie) else owner):
            assert path == "envs/dev" or path.startswith("envs/dev/")


@pytest.mark.parametrize(
    ("path", "taken"),
    [
        ("a/b.yaml", True),
        ("b.yml", True),
        ("b.json", False),
        ("Kustomization", True),
        ("a/Kustomization", True),
        ("a/kustomization", False),
        ("a/MyKustomization", False),
        (".github/Kustomization", False),
        (".github/workflows/ci.yaml", False),
        ("x/.github/ci.yaml", False),
        (".gitlab-ci.yml", False),
        (".gitcd/holds/dev/a.b.yaml", False),
        ("gitcd.yaml", False),
        ("apps/gitcd.yaml", True),
    ],
)
def test_T23_automation_of_the_forge_is_never_edited(path, taken):
    assert is_manifest(path) is taken
