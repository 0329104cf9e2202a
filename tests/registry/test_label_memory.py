"""What images say of themselves is read once for each image, and what a file of it holds is not trusted."""

import stat

import pytest

from gitcd.model.reference import Repository
from gitcd.registry import label_memory
from gitcd.registry.label_memory import LabelMemory
from gitcd.registry.oci_images import OciImages
from tests.support.oddregistry import OddRegistry

APP = Repository("r.example.com", "team/app")
ONE, TWO = ("sha256:" + digit * 64 for digit in "12")


def test_a_label_is_known_to_the_next_process(tmp_path):
    path = tmp_path / "deep" / "labels"
    memory = LabelMemory(path)
    assert memory.recall(APP, ONE) is None
    memory.note(APP, ONE, "1.4.2")
    memory.note(APP, TWO, "")
    again = LabelMemory(path)
    assert (again.recall(APP, ONE), again.recall(APP, TWO)) == ("1.4.2", "")
    assert again.recall(Repository("r.example.com", "team/other"), ONE) is None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_without_a_file_it_lasts_as_long_as_the_process():
    memory = LabelMemory()
    memory.note(APP, ONE, "1.4.2")
    assert memory.recall(APP, ONE) == "1.4.2"


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe\n", f"{APP}@{ONE}".encode(), f"{APP}@{ONE} a b\n".encode(), b"x y\n"]
)
def test_lines_that_are_none_are_passed_over(tmp_path, content):
    path = tmp_path / "labels"
    path.write_bytes(content)
    assert LabelMemory(path).recall(APP, ONE) is None


def test_F22_a_place_that_cannot_be_written_is_no_trouble(tmp_path):
    (tmp_path / "file").touch()
    memory = LabelMemory(tmp_path / "file" / "labels")
    memory.note(APP, ONE, "1.4.2")
    assert memory.recall(APP, ONE) == "1.4.2"


def test_T18_a_file_that_has_grown_large_is_begun_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(label_memory, "_LARGEST", 100)
    path = tmp_path / "labels"
    for number in range(9):
        LabelMemory(path).note(APP, ONE, f"1.{number}.0")
    assert path.stat().st_size < 300
    assert LabelMemory(path).recall(APP, ONE) == "1.8.0"


def test_an_image_is_read_once_and_its_tag_looked_at_each_time(tmp_path):
    with OddRegistry() as odd:
        annotations = {"org.opencontainers.image.version": "1.4.2"}
        odd.put("team/app", "env-dev", annotations=annotations)
        repository = Repository(odd.host, "team/app")
        for _ in range(2):
            oci = OciImages(memory=LabelMemory(tmp_path / "labels"))
            assert oci.look_up(repository, ["env-dev"])["env-dev"].label == "1.4.2"
        assert [each.method for each in odd.asked].count("HEAD") == 4
        assert odd.counted("GET /v2/team/app/blobs/") == 1
        assert odd.counted("GET /v2/team/app/manifests/1.4.2") == 0
