from __future__ import annotations

import random
import re
import time

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gitcd.model.pattern import ALPHABET, MAX_STATES, PatternError, compile_pattern
from gitcd.model.version import VersionProblem, check_regex, pick_version, precedence

NUMBERS = st.integers(0, 12).map(str)
IDENTIFIERS = st.one_of(NUMBERS, st.text("ab0-", min_size=1, max_size=3).filter(lambda text: not text.isdecimal()))
VERSIONS = st.builds(
    lambda v, core, pre, build: v + ".".join(core) + ("-" + ".".join(pre) if pre else "") + build,
    st.sampled_from(["", "v"]),
    st.tuples(NUMBERS, NUMBERS, NUMBERS),
    st.lists(IDENTIFIERS, max_size=3),
    st.sampled_from(["", "_b1", "_b2.x"]),
)
ANY_TAGS = st.lists(st.one_of(VERSIONS, st.text("0123456789abcdef", min_size=3, max_size=9), st.just("env-prod")))


class TestPrecedence:
    def test_the_example_of_the_specification(self) -> None:
        order = ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11"]
        order += ["1.0.0-rc.1", "1.0.0", "2.0.0", "2.1.0", "2.1.1", "10.0.0"]
        assert sorted(random.Random(1).sample(order, len(order)), key=precedence) == order

    @pytest.mark.parametrize(
        "tag",
        [
            "1",
            "1.2",
            "01.2.3",
            "1.2.3.4",
            "V1.2.3",
            "1.2.3-",
            "1.2.3-01",
            "1.2.3-a..b",
            "1.2.x",
            "1.2.3\n",
            "",
            "\u0661.2.3",
        ],
    )
    def test_what_is_no_semantic_version(self, tag: str) -> None:
        assert precedence(tag) is None

    @pytest.mark.parametrize("other", ["v1.2.3", "1.2.3_build7", "1.2.3+build7", "v1.2.3_a.b-c"])
    def test_prefix_and_build_do_not_count(self, other: str) -> None:
        assert precedence(other) == precedence("1.2.3")

    @given(st.lists(VERSIONS, min_size=3, max_size=3))
    def test_it_is_a_total_order(self, tags: list[str]) -> None:
        a, b, c = (precedence(tag) for tag in tags)
        assert a is not None
        assert b is not None
        assert c is not None
        assert (a < b) + (a == b) + (a > b) == 1
        assert not (a <= b <= c) or a <= c


class TestPick:
    @pytest.mark.parametrize(
        ("tags", "syntax", "followed", "expected"),
        [
            (["env-prod", "1.2.3"], "", "env-prod", "1.2.3"),
            (["v1.10.0", "v1.9.0"], "", "", "v1.10.0"),
            (["1.2.3-rc.1", "1.2.3"], "", "", "1.2.3"),
            (["1.2.3", "deadbeef"], "", "", "1.2.3"),
            (["latest", "deadbeef"], "", "latest", "deadbeef"),
            (["1.2.3", "deadbeef"], "[0-9a-f]{8}", "", "deadbeef"),
            (["main-7-abc", "main"], "main-[0-9]+-.*", "main", "main-7-abc"),
            (["1.2.3", "v1.2.3"], "", "", "1.2.3"),
            (["1.2", "1.2.7"], r"[0-9]+(\.[0-9]+)*", "1.2", "1.2.7"),
            (["1.4.0"], "", "1.4.0", "1.4.0"),
            (["1.2.3", "1.2.3_build7"], "", "1.2.3", "1.2.3_build7"),
            (["2.0.0", "1.9.9"], "", "2.0.0", "2.0.0"),
            (["facade", "0a1b2c3"], "", "facade", "0a1b2c3"),
            (["facade"], "", "facade", "facade"),
            (["abcde", "abcde"], "", "", "abcde"),
        ],
    )
    def test_table(self, tags: list[str], syntax: str, followed: str, expected: str) -> None:
        assert pick_version(tags, syntax, followed=followed) == expected

    def test_several_hashes_are_ambiguous_and_named(self) -> None:
        problem = pick_version(["abcde", "12345", "env-prod"])
        assert isinstance(problem, VersionProblem)
        assert problem.reason == "AmbiguousVersion"
        assert "12345, abcde" in problem.message
        assert "env-prod" not in problem.message
        assert "versionSyntax" in problem.remedy

    def test_none_lists_the_tags_and_both_remedies(self) -> None:
        problem = pick_version(["env-prod", "blue"], "v.*")
        assert isinstance(problem, VersionProblem)
        assert problem.reason == "NoVersion"
        assert "blue, env-prod" in problem.message
        assert "versionSyntax" in problem.remedy
        assert "pin: TagAndDigest" in problem.remedy

    def test_a_part_of_a_tag_is_not_enough(self) -> None:
        assert isinstance(pick_version(["build-deadbeef"], "[0-9a-f]{8}"), VersionProblem)
        assert isinstance(pick_version(["v1.2"]), VersionProblem)

    def test_a_long_list_of_tags_is_cut(self) -> None:
        problem = pick_version([f"t{number:03}" for number in range(1000)])
        assert isinstance(problem, VersionProblem)
        assert "and 980 more" in problem.message

    @given(ANY_TAGS, st.sampled_from(["", "[0-9a-f]+", ".*"]), st.randoms())
    def test_order_and_repetition_make_no_difference(
        self, tags: list[str], syntax: str, shuffle: random.Random
    ) -> None:
        shuffled = tags + tags[:2]
        shuffle.shuffle(shuffled)
        followed = tags[0] if tags else ""
        picked = pick_version(tags, syntax, followed=followed)
        assert picked == pick_version(shuffled, syntax, followed=followed)
        assert isinstance(picked, VersionProblem) or picked in tags


# Patterns of what is supported, small enough for `re` to be the judge.
ATOMS = st.sampled_from(["a", "b", ".", "[ab]", "[^a]", r"\d", r"\.", r"\w", "1"])
PATTERNS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map("".join),
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]}|{pair[1]})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,2}", "{,2}", "{1,}", "*?", "{0}"])).map(
            lambda pair: f"(?:{pair[0]}){pair[1]}"
        ),
    ),
    max_leaves=6,
)


class TestPattern:
    @given(PATTERNS, st.lists(st.text("ab1.", max_size=5), max_size=8))
    def test_it_agrees_with_re(self, pattern: str, texts: list[str]) -> None:
        compiled = compile_pattern(pattern)
        for text in texts:
            assert compiled.matches(text) == bool(re.fullmatch(pattern, text)), (pattern, text)

    @given(st.text(st.sampled_from("ab1(){}[]|*+?^$\\.-,:=!<>P#i"), max_size=12), st.text("ab1", max_size=4))
    def test_any_text_is_refused_or_agrees_with_re(self, pattern: str, text: str) -> None:
        try:
            compiled = compile_pattern(pattern)
        except PatternError:
            return
        assume(text)
        assert compiled.matches(text) == bool(re.fullmatch(pattern, text))

    @pytest.mark.parametrize(
        "pattern",
        ["(a|a)*b", "(a+)+b", "(.*)*b", ".*.*.*.*.*.*.*.*b", "(a?){100}a{100}b", "(?:a|b|ab)*c", "([a-z]+)*[0-9]"],
    )
    def test_T32_no_pattern_runs_away(self, pattern: str) -> None:
        started = time.thread_time()
        assert check_regex(pattern) == ""
        assert not compile_pattern(pattern).matches("a" * 128)
        assert time.thread_time() - started < 1

    @pytest.mark.parametrize(
        "pattern", ["((){999}){999}", "((a{99}){99}){99}", "(" * 128 + ")" * 128, "(((a?)*)*)*" * 20]
    )
    def test_T32_no_pattern_is_slow_to_compile(self, pattern: str) -> None:
        started = time.thread_time()
        check_regex(pattern)
        assert time.thread_time() - started < 1

    @pytest.mark.parametrize(
        ("pattern", "reason"),
        [
            ("(", "unterminated"),
            ("[a", "unterminated"),
            ("a**", "multiple repeat"),
            ("(?=a)b", "lookaround"),
            (r"(a)\1", "backreferences"),
            ("(?i)abc", "flags"),
            ("a*+", "possessive"),
            ("a^b", "only at the ends"),
            (r"\bword", "not supported"),
            ("a{}", "not supported"),
            ("a" * 257, "longer than 256"),
            ("a{600}", f"more than {MAX_STATES}"),
            ("[[a]", "nested set"),
            ("a{99999999999999999999}", "too large"),
        ],
    )
    def test_what_is_refused_says_why(self, pattern: str, reason: str) -> None:
        assert reason in check_regex(pattern)

    @pytest.mark.parametrize(
        "pattern",
        ["", "[0-9a-f]{40}", "^v[0-9]+$", r"\d{8}-[0-9a-f]{7,}", "main-(?P<sha>.*)", r"v?\d+(\.\d+){2}(-rc\.\d+)?"],
    )
    def test_what_people_write_is_accepted(self, pattern: str) -> None:
        assert check_regex(pattern) == ""

    def test_every_character_of_a_tag_is_known(self) -> None:
        assert compile_pattern(".*").matches(ALPHABET)
        assert not compile_pattern(".*").matches("a+b")
