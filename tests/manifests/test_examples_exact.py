"""Every manifest of the example repository is changed exactly."""

from pathlib import Path

import pytest
import yaml

from gitcd import manifests
from gitcd.model.site import Form, SiteEdit
from tests.support.sites import D, load11, load12, set_images

ROOT = Path(__file__).parents[2] / "examples"
FILES = sorted(str(path.relative_to(ROOT)) for path in ROOT.rglob("*.y*ml"))


@pytest.mark.parametrize("name", FILES)
def test_an_example_changes_only_where_it_is_edited(name: str) -> None:
    data = (ROOT / name).read_bytes()
    sites = [site for site in manifests.find(name, data).sites if site.repository is not None]
    edits = [SiteEdit(site, tag="1.10", digest=D) for site in sites]
    new = manifests.write(name, data, edits)
    assert (new == data) == (not sites)
    for load in (load11, load12):
        try:
            before = load(data.decode())
        except yaml.YAMLError:
            assert not sites
            return
        assert load(new.decode()) == set_images(before, edits)
    if all(site.form is not Form.KUSTOMIZE for site in sites):
        assert new.count(b"\n") == data.count(b"\n")


def test_the_examples_hold_every_form() -> None:
    forms = {site.form for name in FILES for site in manifests.find(name, (ROOT / name).read_bytes()).sites}
    assert forms >= {Form.IMAGE, Form.KUSTOMIZE, Form.HELM, Form.CONFIG}
