"""Several runs that share the declarations: each is acted on by one, and what belongs together by the same one."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st

from gitcd.model.tree import MemoryTree
from gitcd.planning.inputs import Inputs
from gitcd.planning.intake import read_inputs
from gitcd.planning.shards import Shard, members, units

_LAYOUT = b"""\
apiVersion: gitcd.io/v1
kind: ConfigRepository
environments:
  - {name: dev, path: envs/dev}
  - {name: prod, path: envs/prod, delivery: {mode: PullRequest}}
  - {name: once, path: envs/once, delivery: {mode: PullRequest, group: env}}
"""


def declaration(name: str, repository: str, **more: str) -> str:
    lines = "".join(f"  {key}: {value}\n" for key, value in more.items())
    return f"""\
apiVersion: gitcd.io/v1
kind: ContainerVersion
metadata: {{name: {name}, namespace: team}}
spec:
  imageRepo: registry.example.com/{repository}
  tag: env
{lines}"""


def inputs(files: dict[str, str]) -> Inputs:
    return read_inputs(MemoryTree({"gitcd.yaml": _LAYOUT} | {path: text.encode() for path, text in files.items()}))


def parted(found: Inputs, count: int) -> list[set[str]]:
    return [{str(each) for each in Shard(number, count)(found).identities} for number in range(count)]


NAMES = st.sampled_from(["a", "b", "c", "d"])
APPS = st.fixed_dictionaries(
    {
        "environment": st.sampled_from(["dev", "prod", "once"]),
        "repository": NAMES,
        "group": st.sampled_from(["", "", "x", "y"]),
        "delivery": st.sampled_from(["", "", "p", "q"]),
        "key": st.sampled_from(["", "", "k/v", "l/v"]),
    }
)


@settings(max_examples=60, deadline=None)
@given(st.lists(APPS, max_size=25), st.integers(1, 7))
def test_each_is_acted_on_once_and_no_bond_is_parted(apps: list[dict[str, str]], count: int) -> None:
    files = {}
    for number, app in enumerate(apps):
        more = {}
        if app["group"]:
            more["strategy"] = f"{{group: {app['group']}}}"
        if app["delivery"]:
            more["delivery"] = f"{{mode: PullRequest, group: {app['delivery']}}}"
        if app["key"]:
            name, _, key = app["key"].partition("/")
            more["config"] = f"{{name: {name}, key: {key}}}"
        text = declaration(f"app-{number}", app["repository"], **more)
        files[f"envs/{app['environment']}/app-{number}.yaml"] = text
    found = inputs(files)
    assert len(found.declared) == len(apps)
    shards = parted(found, count)
    assert sorted(each for shard in shards for each in shard) == sorted(str(each.identity) for each in found.declared)
    homes = defaultdict(set)
    for number, app in enumerate(apps):
        environment = app["environment"]
        (home,) = [at for at, shard in enumerate(shards) if f"{environment}/team/app-{number}" in shard]
        bonds = {("image", app["repository"]), ("group", app["group"]), ("key", app["key"])}
        bonds.add(("pull", app["delivery"] or ("env" if environment == "once" else "")))
        for kind, value in bonds:
            if value:
                homes[environment, kind, value].add(home)
    assert all(len(home) == 1 for home in homes.values())


def test_the_same_declaration_is_always_of_the_same_shard() -> None:
    """Written down: what another version, or another machine, computes must be this."""
    found = inputs({f"envs/dev/{name}.yaml": declaration(name, f"team/{name}") for name in "abcdefgh"})
    assert [sorted(each[-1] for each in shard) for shard in parted(found, 3)] == [
        ["b", "c", "f"],
        ["e", "g"],
        ["a", "d", "h"],
    ]


def test_shards_are_of_about_one_size() -> None:
    found = inputs({f"envs/dev/a{number}.yaml": declaration(f"a{number}", f"r{number}") for number in range(400)})
    assert all(70 <= len(shard) <= 130 for shard in parted(found, 4))


def test_a_declaration_that_cannot_be_read_is_reported_by_one_shard() -> None:
    found = inputs({"envs/dev/a.yaml": declaration("a", "a", pin="Nonsense"), "envs/dev/b.yaml": declaration("b", "b")})
    assert len(found.broken) == 1
    assert sum(str(found.broken[0].identity) in shard for shard in parted(found, 4)) == 1


def test_one_shard_alone_clears_up() -> None:
    found = inputs({"envs/dev/a.yaml": declaration("a", "a")})
    assert [Shard(number, 3)(found).sweeps for number in range(3)] == [True, False, False]


def test_members_of_a_unit_are_found_by_its_name() -> None:
    found = inputs(
        {
            "envs/dev/a.yaml": declaration("a", "a", strategy="{group: g}"),
            "envs/dev/b.yaml": declaration("b", "b", strategy="{group: g}"),
            "envs/dev/c.yaml": declaration("c", "c"),
        }
    )
    names = sorted(sorted(each.identity.name for each in unit) for unit in members(found).values())
    assert names == [["a", "b"], ["c"]]
    assert set(members(found)) == set(units(found).values())
