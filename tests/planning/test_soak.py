"""Soak time and the matching of environments: what holds for every history and every pair of them."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from gitcd.model.declaration import ContainerVersion, Identity, Metadata, Origin, Spec
from gitcd.model.registry import Answers, Failure
from gitcd.planning.content import Held
from gitcd.planning.holds import NoHistory
from gitcd.planning.matching import Declared
from gitcd.planning.overview import LiveImages
from gitcd.planning.promotion import Aim, aims, match, source_queries
from gitcd.planning.scopes import Reach
from gitcd.planning.soak import check_soak

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
REPO = "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/app"
SPANS = st.timedeltas(timedelta(0), timedelta(days=90))
NAMES = st.sets(st.sampled_from("abcdef"), max_size=6)
DIGEST = f"sha256:{'a' * 64}"


def declared(environment: str, name: str, namespace: str = "team") -> Declared:
    document = ContainerVersion(Metadata(name, namespace), Spec(REPO, tag=f"env-{environment}"), Origin("x.yaml", 1))
    return Declared(document, Identity(environment, namespace, name), Reach(environment, None, ()))


class TestSoak:
    @given(SPANS, SPANS.filter(bool))
    def test_the_gate_opens_exactly_when_the_time_is_over(self, held, asked):
        block = check_soak(NOW - held, asked, "dev/team/app", NOW)
        assert (block is None) == (held >= asked)
        assert block is None or block.reason == "NotSoaked"

    @given(SPANS.filter(bool), SPANS.filter(bool))
    def test_what_is_not_known_or_lies_ahead_never_passes(self, ahead, asked):
        for since in (None, NoHistory("gone"), NOW + ahead):
            block = check_soak(since, asked, "dev/team/app", NOW)
            assert block is not None
            assert block.reason == "SoakUnknown"

    @given(SPANS, SPANS.filter(bool), SPANS)
    def test_to_wait_longer_never_closes_it(self, held, asked, more):
        if check_soak(NOW - held, asked, "x", NOW) is None:
            assert check_soak(NOW - held, asked, "x", NOW + more) is None


class TestMatching:
    @given(NAMES, NAMES, NAMES)
    def test_every_declaration_is_in_one_place_and_others_in_none(self, sources, targets, strangers):
        everything = [declared(env, name) for env, names in
                      (("dev", sources), ("prod", targets), ("lab", strangers)) for name in names]  # fmt: skip
        found = match(everything, "dev", "prod")
        assert {pair.target.identity.name for pair in found.pairs} == sources & targets
        assert all(pair.source.identity == Identity("dev", "team", pair.target.identity.name) for pair in found.pairs)
        assert all(pair.target.identity.environment == "prod" for pair in found.pairs)
        assert {each.name for each in found.without_source} == targets - sources
        assert {each.name for each in found.without_target} == sources - targets

    @given(NAMES, st.randoms())
    def test_the_order_of_declarations_does_not_matter(self, names, random):
        everything = [declared(env, name) for env in ("dev", "prod") for name in names]
        shuffled = random.sample(everything, len(everything))
        assert match(everything, "dev", "prod") == match(shuffled, "dev", "prod")

    def test_another_namespace_is_another_declaration(self):
        found = match([declared("dev", "app"), declared("prod", "app", "others")], "dev", "prod")
        assert (found.pairs, [str(each) for each in found.without_source]) == ((), ["prod/others/app"])

    @given(
        st.lists(st.builds(Held, st.sampled_from(["1.0", "2.0", "env-dev"]), st.sampled_from(["", DIGEST])), max_size=3)
    )
    def test_an_aim_is_one_digest_that_git_or_the_registry_names(self, images):
        (pair,) = match([declared("dev", "app"), declared("prod", "app")], "dev", "prod").pairs
        placed = tuple((image, f"x.yaml:{number}") for number, image in enumerate(images))
        doubt = None if images else Failure("MatchedNothing", "no place")
        stands = {pair.source.identity: LiveImages(placed, doubt)}
        assert all(not query.digests for query in source_queries([pair], stands))
        (found,) = aims([pair], stands, Answers({}), []).values()
        if isinstance(found, Aim):
            assert {image.identifier for image in images} == {found.digest} == {DIGEST}
            assert found.source == pair.source.identity
