"""The refusals that docs/limits.md promises, each tried."""

import pytest

from gitcd.manifests import EditRefused, find, write
from gitcd.model.site import SiteEdit

DIGEST = "sha256:" + "0" * 64
POD = "kind: Pod\nspec:\n  containers:\n    - name: a\n      image: {}\n"


def attempt(data: bytes, path: str = "f.yaml") -> list[str]:
    """Reasons why not every image of the file can be changed."""
    found = find(path, data)
    reasons = [refusal.reason for refusal in found.refusals]
    try:
        write(path, data, [SiteEdit(site, tag="2.0.0", digest=DIGEST) for site in found.sites])
    except EditRefused as refused:
        reasons.append(refused.refusal.reason)
    return reasons


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (POD.format(">-\n        r.example/a:1"), "several lines"),
        (POD.format("|-\n        r.example/a:1"), "several lines"),
        (POD.format('"r.example/a\\x3a1"'), "escape"),
        (POD.format("!own r.example/a:1"), "tag"),
        (POD.format("&x r.example/a:1") + "    - {name: b, command: [*x]}\n", "anchor"),
        (POD.format("r.example/a:1\n      image: r.example/a:1"), "twice"),
        (POD.format("r.example/a:1") + "sops: {mac: x}\n", "SOPS"),
        ("[" * 70 + "]" * 70, "levels deep"),
    ],
)
def test_a_form_that_is_listed_is_refused(data: str, reason: str) -> None:
    assert any(reason in each for each in attempt(data.encode()))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"#" * (1 << 20) + b"\nimage: r.example/a:1\n", "1 MiB"),
        (POD.format("r.example/a:1").encode("utf-16"), "UTF-16"),
        (POD.format("r.example/a:1").encode() + b"\0", "NUL"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "lfs"),
    ],
)
def test_a_file_that_is_listed_is_refused(data: bytes, reason: str) -> None:
    assert any(reason in each for each in attempt(data))


def test_a_plain_file_is_not_refused() -> None:
    assert attempt(POD.format("r.example/a:1").encode()) == []
    assert attempt(POD.format("!!str 'r.example/a:1'").encode()) == []
