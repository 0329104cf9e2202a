"""Which spots of a file are sites."""

import pytest

from gitcd import manifests
from gitcd.manifests.foreign import find_marks
from gitcd.model.declaration import Place
from gitcd.model.site import Form, Refusal, Site
from tests.support.sites import REPO, D, config, found, images, reasons

POD = "spec: {containers: [{name: c, image: r.example/a/b:v1}]}"
KINDS = {
    "Pod": "spec:\n  containers: [{name: c, image: 'r.example/a/b:v1'}]\n",
    "CronJob": f"spec:\n  jobTemplate:\n    spec:\n      template: {{{POD}}}\n",
    **dict.fromkeys(
        ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "Rollout", "Anything"),
        f"spec:\n  template: {{{POD}}}\n",
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_workloads_of_every_kind(kind: str) -> None:
    text = f"apiVersion: x/v1\nkind: {kind}\nmetadata: {{name: n, namespace: ns, labels: {{cvapp: x}}}}\n{KINDS[kind]}"
    (site,) = found(text)
    assert (site.form, site.workload, site.container, site.init) == (Form.IMAGE, True, "c", False)
    assert (str(site.owner), site.owner.namespace, site.owner.labels) == (f"{kind}/n", "ns", {"cvapp": "x"})
    assert (str(site.repository), site.tag, site.digest) == (REPO, "v1", "")


def test_pod_labels_init_and_ephemeral_containers() -> None:
    sites = found("""\
apiVersion: apps/v1
kind: Deployment
spec:
  template:
    metadata: {labels: {app: p}}
    spec:
      initContainers: [{name: i, image: r.example/a/b:v1}]
      ephemeralContainers: [{name: e, image: r.example/a/b:v1}]
      containers:
      - {name: c, image: nginx}
      - {name: without}
""")
    assert {site.container: site.init for site in sites} == {"c": False, "i": True, "e": False}
    assert all(site.owner.pod_labels == {"app": "p"} and site.owner.labels == {} for site in sites)
    assert str(sites[0].repository) == "docker.io/library/nginx"


def test_items_of_lists_are_objects() -> None:
    sites = found(f"""\
apiVersion: v1
kind: List
items:
- {{apiVersion: v1, kind: Pod, metadata: {{name: a}}, {POD}}}
- apiVersion: v1
  kind: PodList
  items:
  - {{apiVersion: v1, kind: Pod, metadata: {{name: b}}, {POD}}}
""")
    assert [(site.owner.name, site.pointer) for site in sites] == [
        ("a", "/items/0/spec/containers/0/image"),
        ("b", "/items/1/items/0/spec/containers/0/image"),
    ]


def test_positions_are_bytes_behind_bom_and_emoji() -> None:
    data = "\ufeff# \U0001f600\r\n---\r\nk: '\U0001f600'\nimage: \"r.example/a/b:v1\" # \U0001f600".encode()
    (site,) = found(data)
    span = site.spans["image"]
    assert data[span.start : span.end] == b'"r.example/a/b:v1"'
    assert (span.line, site.document) == (4, 0)


def test_documents_are_counted_as_a_parser_counts_them() -> None:
    text = "# only a comment\n---\n---\na: 1\n...\n# between\n...\nimage: r.example/a/b:v1\n--- # last\nimage: nginx\n"
    sites = found(text)
    assert [(site.document, site.line) for site in sites] == [(2, 8), (3, 10)]


def test_markers_that_are_text_do_not_split() -> None:
    (site,) = found("a: |\n  ---\n  image: nginx\nb: ---x\nc: x\n ---\nimage: r.example/a/b:v1\n")
    assert (site.document, site.line) == (0, 7)


@pytest.mark.parametrize(
    ("path", "head", "pointer"),
    [
        ("k/kustomization.yaml", "", "/images/0"),
        ("kustomization.yml", "kind: Kustomization\n", "/images/0"),
        ("other.yaml", "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n", "/images/0"),
        ("c.yaml", "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n", "/images/0"),
    ],
)
def test_kustomize_entries(path: str, head: str, pointer: str) -> None:
    text = f"{head}images:\n- name: app\n  newName: r.example/a/b\n  newTag: v1\n  digest: {D}\n- name: nginx\n"
    first, second = found(text, path)
    assert (first.form, first.pointer, first.tag, first.digest) == (Form.KUSTOMIZE, pointer, "v1", D)
    assert str(first.repository) == REPO
    assert (str(second.repository), second.tag) == ("docker.io/library/nginx", "")


def test_kustomize_entries_of_flux() -> None:
    text = (
        "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\n"
        "spec:\n  images: [{name: r.example/a/b, newTag: v1}]\n"
    )
    assert [site.pointer for site in found(text)] == ["/spec/images/0"]


def test_images_elsewhere_are_no_kustomize_entries() -> None:
    assert found("images: [{name: r.example/a/b, newTag: v1}]\n", "values.yaml") == []


def test_helm_shapes() -> None:
    sites = found(f"""\
image: {{repository: r.example/a/b, tag: v1}}
split: {{image: {{registry: r.example, repository: a/b, tag: 1.10, digest: ""}}}}
joined: {{repository: r.example/a/b, tag: "v1@{D}"}}
empty: {{registry: null, repository: r.example/a/b, tag: , digest: null}}
onlyName: {{repository: r.example/a/b}}
sidecars: [{{image: r.example/a/b:v1}}]
""")
    got = {site.pointer: (site.form, site.tag, site.digest, site.has_digest_key) for site in images(sites)}
    assert got == {
        "/image": (Form.HELM, "v1", "", False),
        "/split/image": (Form.HELM, "1.10", "", True),
        "/joined": (Form.HELM, "v1", D, False),
        "/empty": (Form.HELM, "", "", True),
        "/sidecars/0/image": (Form.IMAGE, "v1", "", False),
    }


def test_helm_values_inside_objects() -> None:
    text = """\
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
spec: {values: {image: {repository: r.example/a/b, tag: v1}, plain: {image: r.example/a/b:v1}}}
---
apiVersion: argoproj.io/v1alpha1
kind: Application
spec:
  source: {helm: {valuesObject: {image: {repository: r.example/a/b, tag: v1}}}}
  sources: [{helm: {valuesObject: {image: {repository: r.example/a/b, tag: v1}}}}]
"""
    assert [site.pointer for site in found(text)] == [
        "/spec/values/image",
        "/spec/source/helm/valuesObject/image",
        "/spec/sources/0/helm/valuesObject/image",
    ]


def test_a_value_named_kind_makes_no_object() -> None:
    assert [site.pointer for site in found("kind: DaemonSet\nimage: r.example/a/b:v1\n")] == ["/image"]


def test_argo_cd_parameters_and_kustomize_strings() -> None:
    sites = found("""\
apiVersion: argoproj.io/v1alpha1
kind: Application
spec:
  source:
    helm:
      parameters:
      - {name: web.image.repository, value: r.example/a/b}
      - {name: web.image.tag, value: v1}
    kustomize: {images: ['app=r.example/a/b:v1', 'r.example/a/b:v1']}
""")
    assert [(site.form, site.tag) for site in images(sites)] == [
        (Form.IMAGE, "v1"),
        (Form.IMAGE, "v1"),
        (Form.HELM, "v1"),
    ]


def test_services_and_their_selectors() -> None:
    text = (
        "apiVersion: v1\nkind: Service\nmetadata: {name: s, namespace: ns}\nspec: {selector: {app: x, slot: blue}}\n"
        "---\napiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: k}\n"
    )
    (service,) = manifests.find("s.yaml", text.encode()).services
    assert (service.name, service.namespace, service.selector) == ("s", "ns", {"app": "x", "slot": "blue"})


CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cm, namespace: ns}\ndata:\n  version: v1\n  a/b: x\n"


def test_config_map_keys() -> None:
    sites = found(CONFIG_MAP)
    assert {site.pointer: site.value for site in sites} == {"/data": None, "/data/version": "v1", "/data/a~1b": "x"}
    assert config(sites, "/data/version").owner.name == "cm"


@pytest.mark.parametrize(
    ("namespace", "name", "key", "pointer"),
    [
        ("ns", "cm", "version", "/data/version"),
        ("", "cm", "version", "/data/version"),
        ("ns", "cm", "other", "/data"),
        ("else", "cm", "version", None),
        ("ns", "absent", "version", None),
    ],
)
def test_config_site(namespace: str, name: str, key: str, pointer: str | None) -> None:
    site = manifests.config_site("cm.yaml", CONFIG_MAP.encode(), namespace, name, key)
    assert (site.pointer if isinstance(site, Site) else site) == pointer


def test_config_site_in_an_unreadable_document_is_a_refusal() -> None:
    site = manifests.config_site("cm.yaml", CONFIG_MAP.encode() + b"\t- x", "ns", "cm", "version")
    assert isinstance(site, Refusal)


def test_locate_by_pointer() -> None:
    data = b"---\nx: 1\n---\nspec:\n  a~b: [{c/d: 'v1'}]\n"
    site = manifests.locate("x.yaml", data, Place("x.yaml", "/spec/a~0b/0/c~1d", "tag", 1))
    assert isinstance(site, Site)
    assert (site.value, site.line, data[site.spans["value"].start : site.spans["value"].end]) == ("v1", 5, b"'v1'")


@pytest.mark.parametrize(
    ("pointer", "document", "reason"),
    [
        ("/a/5", 0, "has nothing at /a/5"),
        ("/a/01", 0, "has nothing at /a/01"),
        ("/a/x", 0, "has nothing at /a/x"),
        ("/a/0/deeper", 0, "has nothing at"),
        ("/a", 0, "leads to no scalar"),
        ("/d", 0, "occurs twice"),
        ("/b", 0, "over several lines"),
        ("/a", 7, "there is no document 7"),
    ],
)
def test_locate_says_why_not(pointer: str, document: int, reason: str) -> None:
    data = b"a: [1]\nb: |\n  x\nd: 1\nd: 2\n"
    if pointer != "/d":
        data = data.replace(b"d: 2\n", b"")
    refusal = manifests.locate("x.yaml", data, Place("x.yaml", pointer, "tag", document))
    assert isinstance(refusal, Refusal)
    assert reason in refusal.reason


def test_only_documents_with_a_needle_are_parsed() -> None:
    data = b"image: r.example/a/b:v1\n---\n\t broken\n---\nimage: nginx\n"
    result = manifests.find("x.yaml", data, [b"a/b"])
    assert [str(site.repository) for site in result.sites] == [REPO]
    assert result.refusals == ()
    assert manifests.find("x.yaml", data, [b"absent"]) == manifests.find("x.yaml", b"")


def test_what_stands_beside_a_setter_comment_is_told() -> None:
    data = (
        b'image: r.example/a/b:v1 # {"$imagepolicy": "flux-system:b"}\n'
        b'x: {image: {repository: r.example/a/b, tag: v1}} # {"$imagepolicy": "flux-system:b:tag"}\n'
        b"free: {image: r.example/a/b:v1} # b\n"
        b'odd: {image: r.example/a/b:v1} # {"$imagepolicy"}\n'
    )
    sites = manifests.find("x.yaml", data).sites
    policies = {"/image": "flux-system:b", "/x/image": "flux-system:b", "/free/image": "", "/odd/image": "?"}
    assert {site.pointer: site.marker for site in sites} == policies
    assert {site.pointer for site in sites if not site.marked} == {"/free/image"}


def test_a_setter_comment_makes_a_whole_reference_known_in_any_form() -> None:
    data = (
        b"kind: Function\napiVersion: x/v1\nspec:\n"
        b'  runtime: r.example/a/b:v1 # {"$imagepolicy": "flux-system:b"}\n'
        b"  args:\n"
        b'  - "r.example/a/b:v1"   # why {"$imagepolicy": "flux-system:b"} here\n'
        b'  version: v1 # {"$imagepolicy": "flux-system:b:tag"}\n'
        b'  name: r.example/a/b # {"$imagepolicy": "flux-system:b:name"}\n'
        b'  both: {one: r.example/a/b:v1, two: r.example/a/b:v2} # {"$imagepolicy": "flux-system:b"}\n'
        b'  other: r.example/a/b:v1 # {"$imagepolicy"}\n'
    )
    sites = manifests.find("x.yaml", data).sites
    assert {site.pointer: (site.form, site.format) for site in sites} == {
        "/spec/runtime": (Form.MARKED, ""),
        "/spec/args/0": (Form.MARKED, ""),
        "/spec/version": (Form.PLACE, "tag"),
    }
    assert {site.marker for site in sites} == {"flux-system:b"}


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_setter_comment_behind_a_comma_is_that_of_the_scalar_before(end: str) -> None:
    """As the parser of Flux has it: the comment of a line in flow style is that of its last scalar."""
    text = """kind: Function
apiVersion: x/v1
spec: {
  runtime: r.example/a/b:v1, # {"$imagepolicy": "flux-system:b"}
  args: [
    r.example/a/b:v1 ,  # {"$imagepolicy": "flux-system:b"}
    r.example/a/b:v1, r.example/a/b:v2, # {"$imagepolicy": "flux-system:b"}
    'r.example/a/b:v1', '# {"$imagepolicy": "flux-system:b"}'
  ],
  release: v1, # {"$imagepolicy": "flux-system:b:tag"}
}
"""
    data = text.replace("\n", end).encode()
    found = manifests.find("x.yaml", data)
    marked = {site.pointer for site in found.sites}
    assert marked == {"/spec/runtime", "/spec/args/0", "/spec/args/2", "/spec/release"}
    assert {mark.pointer for mark in find_marks("x.yaml", data, found)} == marked


@pytest.mark.parametrize(
    ("registry", "repository", "whole"),
    [
        ("r.example", "a/b", "r.example/a/b"),
        ("''", "r.example/a/b", "r.example/a/b"),
        ("quay.io", "a/b", "quay.io/a/b"),
    ],
)
def test_parameters_of_argo_cd_may_name_the_registry_apart(registry: str, repository: str, whole: str) -> None:
    data = f"""
apiVersion: argoproj.io/v1alpha1
kind: Application
spec:
  source:
    helm:
      parameters:
      - {{name: web.image.registry, value: {registry}}}
      - {{name: web.image.repository, value: {repository}}}
      - {{name: web.image.tag, value: v1}}
"""
    (site,) = manifests.find("x.yaml", data.encode()).sites
    assert (str(site.repository), site.tag) == (whole, "v1")


def test_odd_entries_are_passed_over_or_refused() -> None:
    assert found("images: [{name: Not A Name}, x, {newTag: v1}]\n", "kustomization.yaml") == []
    assert reasons("i: {repository: r.example/a/b, tag: v1, digest: 'sha256:0'}\n") == [
        (1, "'sha256:0' is not a digest")
    ]
    lists = "{kind: List, items: [" * 10 + "]}" * 10
    assert reasons(lists) == [(1, "holds lists more than 8 levels deep")]


def test_locate_in_a_binary_file() -> None:
    assert manifests.locate("x", b"\0", Place("x", "/a", "tag")) == Refusal("x", 1, "holds a NUL byte: it is binary")


def test_templates_are_no_references() -> None:
    assert reasons('image: "r.example/a/b:{{ .Values.tag }}"\n') == [
        (1, "'r.example/a/b:{{ .Values.tag }}' is a template, not an image reference")
    ]
    assert reasons("{{- if .x }}\nimage: nginx\n{{- end }}\n")[0][1].endswith("; it looks like a template")
    assert reasons("image: {{ .Values.image }}\n") == []


@pytest.mark.parametrize("reference", ["r.example/a/b:v1@sha256:0", "r.example/a/b:", "r.example/a/b::v1"])
def test_malformed_references_are_refused_to_whom_they_may_concern(reference: str) -> None:
    data = f"image: '{reference}'\n".encode()
    assert [each.line for each in manifests.find("v", data, [b"a/b"]).refusals] == [1]
    assert manifests.find("v", data, [b"a"]).refusals == ()
    assert manifests.find("v", data).refusals == ()
