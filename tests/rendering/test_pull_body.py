"""The body of a pull request: what it says, that it fits, and that nothing from outside breaks out of it."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitcd.errors import ConfigError
from gitcd.model import trailers
from gitcd.model.declaration import Identity, Origin
from gitcd.model.evidence import Evidence, Findings, Scan, ScanStatus
from gitcd.model.plan import Direction, FileChange, Outcome, OutcomeKind, PlannedCommit, PlannedPull, Resolved
from gitcd.model.pull import Limits, plan_of
from gitcd.model.trailers import parse, persons, verbs
from gitcd.model.tree import Mode
from gitcd.rendering.messages import commit_message
from gitcd.rendering.pull import Details, Provenance, RenderedObject, pull_content
from gitcd.rendering.pull_markup import code, compare_link, fenced, html_code

PLAN = "ab" * 32
LIMITS = Limits(255, 65_536)
HOSTILE = [
    "a|b", "`x`", "``", "a\nb", "@team", "fixes #12", "![beacon](https://evil.example/x.png)", "[x](https://evil.example)",
    "<img src=x onerror=1>", "</details>", "<!-- -->", "-->", "```", "~~~", "\u202egnp.exe", "\x1b[31m", "{{ 7*7 }}",
    "https://evil.example", "Signed-off-by: Eve <eve@evil.example>\n", f"gitcd-plan: {'0' * 64}", "Gitcd-App: a/b",
    "\\", "\\|", "&lt;", "\x00", "\x85", "a\u2028b", "x" * 5000, "🦄" * 400, "\ud800",
]  # fmt: skip
TEXTS = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=80), st.lists(st.sampled_from(HOSTILE)).map("".join))


def outcome(name="app", old="1.0.0", new="1.1.0", **more) -> Outcome:
    digest = "sha256:" + "12" * 32
    fields = {
        "identity": Identity("prod", "team", name),
        "origin": Origin("cv.yaml"),
        "kind": OutcomeKind.BUMPED,
        "image_repo": "r.example/team/app",
        "resolved": Resolved("env-prod", new, digest, datetime(2026, 11, 20, 9, 30, tzinfo=UTC)),
        "old": old,
        "old_digest": "sha256:" + "34" * 32,
        "direction": Direction.FORWARD,
    }
    return Outcome(**(fields | more))


def pull(*outcomes: Outcome, files: dict[str, tuple[bytes, bytes]] | None = None, message: str = "") -> PlannedPull:
    found = outcomes or (outcome(),)
    changes = tuple(
        FileChange(path, Mode.FILE, *data) for path, data in (files or {"a.yaml": (b"a\n", b"b\n")}).items()
    )
    commit = PlannedCommit(OutcomeKind.BUMPED, ("prod",), found, changes, message or "prod: app 1.0.0 -> 1.1.0\n\nmore")
    return PlannedPull("prod", "gitcd/prod/env", PLAN, commit)


def body(*args, limits=LIMITS, details=None, **more) -> str:
    return pull_content(pull(*args, **more), limits, details).body


def table(text: str) -> list[list[str]]:
    """The cells of the table, as GitHub's Markdown divides them."""
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows]


class TestWhatASquashKeeps:
    @pytest.mark.parametrize("by", ["dana", "Dana van-Dyk 3", "ci.bot"])
    def test_the_trailers_with_who_asked_for_what(self, by):
        told = commit_message(pull().commit, run="now", verb="rollback", by=by)
        text = body(message=told)
        assert (list(parse(text)), verbs(text), persons(text)) == (list(parse(told)), ["rollback"], [by])
        assert "Gitcd-Run" not in text

    @pytest.mark.parametrize("by", ["@dana", "dana --> out", "dana-- x", "<dana>", "d [x](http://x.example)"])
    def test_nobody_whose_name_would_do_something(self, by):
        text = body(message=commit_message(pull().commit, verb="rollback", by=by))
        assert (verbs(text), persons(text)) == (["rollback"], [])


class TestWhatItSays:
    @pytest.mark.parametrize("reason", ["p99 is up", *HOSTILE])
    def test_why_where_somebody_asked_for_it(self, reason):
        note = f"Rolled back by dana: {reason}. What it leaves is held off."
        message = commit_message(pull().commit, run="r", verb="rollback", note=note, by="dana")
        first, why, *_ = body(message=message).split("\n\n")
        assert first == "Merging this moves `prod` to these images."
        assert why.startswith("`Rolled back by dana")
        assert why == code(why.strip("`"))

    def test_no_why_where_a_tag_has_moved(self):
        message = commit_message(pull().commit, run="r")
        assert body(message=message).split("\n\n")[1].startswith("| app |")

    def test_one_row_for_each_image(self):
        header, _, row = table(body())
        assert header == ["app", "environment", "version", "digest", "pushed", "direction"]
        assert row == [
            "`team/app`", "`prod`", "`1.0.0` → `1.1.0`", "`343434343434` → `121212121212`", "2026-11-20 09:30 UTC", "forward",
        ]  # fmt: skip

    def test_what_is_known_of_one_image_gets_a_column(self):
        scanned = Evidence(Scan(ScanStatus.DONE, Findings(high=1)), Scan(ScanStatus.DONE, Findings(high=3, low=2)))
        known = Provenance("https://github.com/team/app", "a" * 40, "b" * 40, "ada")
        details = Details(provenance={Identity("prod", "team", "app"): known})
        header, _, one, other = table(body(outcome(evidence=scanned), outcome("other"), details=details))
        assert header[6:] == ["moved by", "changes", "scan"]
        link = f"[`aaaaaaa..bbbbbbb`](https://github.com/team/app/compare/{'a' * 40}...{'b' * 40})"
        assert one[6:] == ["`ada`", link, "1 HIGH (-2 HIGH, -2 LOW)"]
        assert other[6:] == ["", "", ""]

    def test_a_way_back_is_plain_to_see_and_the_same_content_too(self):
        *_, back, same = table(body(outcome(direction=Direction.BACKWARD), outcome("b", kind=OutcomeKind.PIN_ONLY)))
        assert (back[5], same[5]) == ("**backward**", "same content")

    def test_the_diff_of_every_file_is_folded_with_the_workloads_that_restart(self):
        files = {"a.yaml": (b"x: 1\ny: 2\n", b"x: 1\ny: 3\n")}
        text = body(files=files, details=Details(restarts={"a.yaml": ["Deployment/app"]}))
        assert "Pods will be replaced in `Deployment/app`." in text
        head = "<details><summary><code>a.yaml</code>: <code>restarts Deployment/app</code></summary>"
        assert f"{head}\n\n```diff\n@@ -1,2 +1,2 @@\n x: 1\n-y: 2\n+y: 3\n```\n\n</details>" in text

    def test_a_cron_job_is_not_said_to_restart_at_once(self):
        told = body(details=Details(restarts={"a.yaml": ["CronJob/nightly", "Deployment/app"]}))
        assert "in `CronJob/nightly`, `Deployment/app` (of a CronJob with its next run).\n" in told
        assert "in `Deployment/app`.\n" in body(details=Details(restarts={"a.yaml": ["Deployment/app"]}))

    def test_rendered_objects_and_notes_are_shown(self):
        rendered = [RenderedObject("Deployment/app", ("-a", "+b"))]
        text = body(details=Details(rendered=rendered, notes=["Nothing was rendered."]))
        assert "\n\nNothing was rendered.\n\n" in text
        assert "<code>Deployment/app</code>: <code>as rendered</code></summary>\n\n```diff\n-a\n+b\n```" in text

    def test_where_comments_are_not_hidden_there_is_no_html(self):
        text = body(limits=Limits(150, 10_240, hides_comments=False), details=Details(restarts={"a.yaml": ["Pod/x"]}))
        assert "<" not in text.replace("<code>", "")
        assert text.endswith(f"\n\ngitcd-plan: {PLAN}\n")
        assert "`a.yaml`: `restarts Pod/x`\n\n```diff\n" in text

    def test_a_squash_that_takes_the_body_as_message_keeps_the_trailers(self):
        planned = pull(outcome(), outcome("other"))
        message = commit_message(replace(planned.commit, message=""), run="now")
        text = pull_content(replace(planned, commit=replace(planned.commit, message=message)), LIMITS).body
        assert list(trailers.parse(text)) == list(trailers.parse(message))
        assert len(list(trailers.parse(text))) == 2

    def test_the_same_plan_says_the_same(self):
        assert body() == body()

    def test_T20_an_operators_template_takes_the_place_of_ours_and_stays_in_the_sandbox(self, tmp_path):
        template = tmp_path / "pull-request.j2"
        template.write_text("{% for item in items %}{{ item.app }} {{ item.change }}{% endfor %}")
        text = pull_content(pull(), LIMITS, folder=tmp_path).body
        assert text.startswith("`team/app` `1.0.0` → `1.1.0`\n\n<!-- gitcd-plan:")
        template.write_text("{{ items.__class__.__mro__ }}")
        with pytest.raises(ConfigError, match=r"pull-request\.j2"):
            pull_content(pull(), LIMITS, folder=tmp_path)

    def test_a_template_that_never_fits_is_not_cut_but_replaced(self, tmp_path):
        (tmp_path / "pull-request.j2").write_text("{% for n in range(90000) %}<b>x</b>{% endfor %}")
        text = pull_content(pull(), LIMITS, folder=tmp_path).body
        assert text.startswith("1 images; the commit tells which.\n\n<!-- gitcd-plan:")


class TestFit:
    @settings(max_examples=40)
    @given(
        apps=st.integers(1, 120), lines=st.integers(1, 400), limit=st.sampled_from([600, 2000, 10_240, 65_536]),
        letter=st.sampled_from(["x", "é", "🦄", "`", "|"]), hidden=st.booleans(),
    )  # fmt: skip
    def test_it_always_fits_and_is_never_cut_in_two(self, apps, lines, limit, letter, hidden):
        outcomes = [outcome(f"app{n}", new=f"1.{n}.{letter * 9}") for n in range(apps)]
        data = "".join(f"{letter}{n}\n" for n in range(lines)).encode()
        files = {f"{n}.yaml": (data, data.upper() + b"end\n") for n in range(min(apps, 5))}
        content = pull_content(pull(*outcomes, files=files), Limits(80, limit, hides_comments=hidden))
        assert len(content.title) <= 80
        assert len(content.body.encode()) <= limit
        assert plan_of(content.body) == PLAN
        check_structure(content.body)

    def test_first_diffs_go_then_images_and_both_are_counted(self):
        data = b"".join(b"line %d\n" % n for n in range(500))
        files = {f"{n}.yaml": (data, data.replace(b"line", b"row")) for n in range(9)}
        some = body(files=files, limits=Limits(80, 20_000))
        assert re.search(r"\n… and \d+ more lines\n```\n\n</details>", some)
        assert re.search(r"\n\n[67] more files are not shown here", some)
        assert len(some.encode()) > 19_000
        few = body(*(outcome(f"app{n}") for n in range(100)), files=files, limits=Limits(80, 3000))
        assert len(table(few)) - 2 + int(re.search(r"\n\nAnd (\d+) more; the commit names them all\.", few)[1]) == 100
        assert len(few.encode()) > 2800
        assert "9 more files are not shown here" in few


def check_structure(text: str) -> None:
    """Fences and folds are closed, in order, and every row of the table has as many cells as its head."""
    fence, folds, comment = "", 0, False
    for line in text.splitlines():
        if fence:
            fence = "" if line == fence else fence
        elif line.startswith("```"):
            fence = re.match("`+", line)[0]
        elif line == "<!--":
            comment = True
        elif comment:
            comment = line != "-->"
        else:
            bare = re.sub(r"`[^`]*`", "", line)
            folds += bare.count("<details>") - bare.count("</details>")
            assert folds in {0, 1}
    assert (fence, folds, comment) == ("", 0, False)
    rows = table("\n".join(outside(text)))
    assert {len(row) for row in rows} <= {len(rows[0])} if rows else True


def outside(text: str) -> list[str]:
    """The lines outside fenced blocks."""
    lines, fence = [], ""
    for line in text.splitlines():
        if fence:
            fence = "" if line == fence else fence
        elif line.startswith("```"):
            fence = re.match("`+", line)[0]
        else:
            lines.append(line)
    return lines


class TestHostileContent:
    @settings(max_examples=60)
    @given(text=TEXTS, hidden=st.booleans())
    def test_T21_nothing_from_outside_breaks_out(self, text, hidden):
        """Whatever a name, a tag, a path, a file or a label holds: the frame stays ours, and so does the seal."""
        hostile = outcome(
            old=text, new=text, image_repo=text, identity=Identity("prod", text or "x", text or "x"), old_digest=text,
        )  # fmt: skip
        known = Provenance(text, text, text, text)
        details = Details(
            provenance={hostile.identity: known},
            restarts={"a.yaml": [text]},
            rendered=[RenderedObject(text, (text,))],
        )
        data = text.encode("utf-8", "surrogatepass")
        content = pull_content(
            pull(hostile, files={"a.yaml": (b"", data), os.fsdecode(data): (data, b"")}, message=text or "x"),
            Limits(100, 65_536, hides_comments=hidden),
            details,
        )
        assert plan_of(content.body) == PLAN
        assert "\n" not in content.title
        check_structure(content.body)
        plain = "\n".join(re.sub(r"`[^`\n]*`", "", line) for line in outside(content.body))
        plain = re.sub(r"<code>[^<>\n]*</code>", "", plain)
        for sign in ("evil", "@team", "#12", "onerror", "![", "{{", "Signed-off", "beacon"):
            assert sign not in plain, sign
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", content.body)
        content.body.encode()

    @given(TEXTS)
    def test_a_span_is_one_span(self, text):
        span = code(text)
        assert span == "" or re.fullmatch(r"`[^`|\n\r]+`", span)
        assert re.fullmatch(r"<code>[^<>\n\r]*</code>", html_code(text))

    @given(st.lists(TEXTS, max_size=5))
    def test_no_line_ends_its_fence(self, lines):
        first, *inner, last = fenced(lines, "diff").split("\n")
        assert first == f"{last}diff"
        assert len(inner) == len(lines)
        assert all(last not in line for line in inner)

    @pytest.mark.parametrize(
        ("source", "link"),
        [
            ("https://github.com/team/app", "https://github.com/team/app/compare/aaaaaaa...bbbbbbb"),
            ("https://github.com/team/app.git", "https://github.com/team/app/compare/aaaaaaa...bbbbbbb"),
            ("https://gitlab.example.com/a/b/c", "https://gitlab.example.com/a/b/c/-/compare/aaaaaaa...bbbbbbb"),
            ("https://bitbucket.org/a/b", "https://bitbucket.org/a/b/branches/compare/bbbbbbb%0Daaaaaaa"),
            ("http://github.com/team/app", ""),
            ("https://user:pass@github.com/team/app", ""),
            ("https://github.com/../x", ""),
            ("https://github.com//x", ""),
            ("https://github.com/a?x=1", ""),
            ("https://github.com/a)", ""),
            ("javascript:alert(1)", ""),
            ("", ""),
        ],
    )
    def test_only_a_plain_address_becomes_a_link(self, source, link):
        assert compare_link(source, "a" * 7, "b" * 7) == (f"[`aaaaaaa..bbbbbbb`]({link})" if link else "")

    @given(TEXTS, TEXTS, TEXTS)
    def test_a_link_is_one_link(self, source, old, new):
        found = compare_link(source, old, new)
        assert found == "" or re.fullmatch(r"\[`[0-9a-f.]+`\]\(https://[A-Za-z0-9._~/%:-]+\)", found)
