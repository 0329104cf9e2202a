"""The page of `gitcd status -o html`: self-contained, and nothing in it but gitcd's own script runs."""

import base64
import hashlib
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitcd.model.declaration import Identity
from gitcd.model.overview import EnvironmentStatus, Item, Overview, Provenance, State
from gitcd.rendering.status_page import age, page

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
PAYLOADS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</style><script>alert(1)</script>",
    "{{ 7 * 7 }}{% set x = 1 %}",
    "javascript:alert(1)",
    "<!--",
    "]]><svg/onload=alert(1)>",
]


class Seen(HTMLParser):
    """The tags, attributes and texts of a page."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.attributes, self.texts, self.raw = [], [], [], {}
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        self._inside = tag

    def handle_data(self, data):
        if self._inside in {"script", "style"}:
            self.raw[self._inside] = self.raw.get(self._inside, "") + data
        self.texts.append(data)

    def handle_endtag(self, tag):
        self._inside = ""


def overview(text):
    item = Item(
        Identity("dev", text, text), text, text, text, text,
        Provenance(text, NOW - timedelta(days=2), text, text), (State("Held", text), State("Odd", text)), (text,),
    )  # fmt: skip
    return Overview((EnvironmentStatus("dev", text, text),), (item,), text, (text,))


def shape(text):
    """What of a page is markup: its tags and the names of attributes."""
    seen = Seen(text)
    return seen.tags, [name for name, _ in seen.attributes]


@pytest.mark.parametrize("payload", PAYLOADS)
def test_T21_no_text_becomes_markup(payload):
    seen, plain = (Seen(page(overview(text), title=text, now=NOW)) for text in (payload, "plain"))
    assert (seen.tags, [name for name, _ in seen.attributes]) == (plain.tags, [name for name, _ in plain.attributes])
    assert seen.raw == plain.raw
    titles = [value for name, value in seen.attributes if name == "title"]
    assert payload in titles
    assert payload in [text.strip() for text in seen.texts]


@settings(max_examples=40)
@given(st.text(min_size=1, max_size=40).filter(lambda text: text.strip() and "\x00" not in text))
def test_T21_whatever_a_text_holds_it_stays_text(text):
    html = page(overview(text), title=text, now=NOW)
    assert shape(html) == shape(page(overview("plain"), title="plain", now=NOW))


def test_nothing_is_loaded_and_only_its_own_script_and_style_may_run():
    html = page(overview("x"), title="x", now=NOW)
    seen = Seen(html)
    assert not {name for name, _ in seen.attributes} & {"src", "href", "style", "onclick", "action"}
    (policy,) = [value for name, value in seen.attributes if name == "content" and "default-src" in value]
    assert policy.startswith("default-src 'none';")
    for kind in ("script", "style"):
        hashed = base64.b64encode(hashlib.sha256(seen.raw[kind].encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{hashed}'" in policy
    assert "url(" not in seen.raw["style"]
    assert "@import" not in seen.raw["style"]
    assert "prefers-color-scheme: dark" in seen.raw["style"]


def test_apps_are_rows_and_environments_are_columns():
    def item(environment, name, version):
        return Item(Identity(environment, "team", name), version=version, digest=f"sha256:{version * 12}")

    environments = (EnvironmentStatus("dev"), EnvironmentStatus("prod", "dev"))
    found = Overview(environments, (item("dev", "a", "1"), item("prod", "a", "2"), item("dev", "b", "3")))
    html = page(found, title="repo", now=NOW)
    assert html.count("<tr data-kinds") == 2
    assert html.count('<span class="absent">') == 1
    assert "<b>1</b> differ between environments</button>" in html
    assert '>prod <span class="from">from dev</span></th>' in html


def test_a_git_hash_is_shortened():
    item = Item(Identity("dev", "team", "a"), version="0123456789" * 4)
    html = page(Overview((EnvironmentStatus("dev"),), (item,)), title="x", now=NOW)
    assert '<span class="version">012345678901</span>' in html


@pytest.mark.parametrize(
    ("span", "shown"),
    [({"days": 800}, "2y"), ({"days": 12, "hours": 5}, "12d"), ({"hours": 3}, "3h"), ({"minutes": 59}, "59m"),
     ({"seconds": 2}, "now"), ({"seconds": -2}, "?")],
)  # fmt: skip
def test_an_age_is_its_largest_unit(span, shown):
    assert age(timedelta(**span)) == shown
