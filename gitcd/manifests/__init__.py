"""Manifests: find what may hold an image, and change exactly that.

The only importer of YAML libraries. PyYAML's C parser gives positions, ruamel.yaml the rules of YAML 1.2; neither ever
writes a manifest: changes are spliced into the original bytes.
"""

from gitcd.manifests.chunks import EditRefused
from gitcd.manifests.dump import to_yaml
from gitcd.manifests.scalars import is_plain_string
from gitcd.manifests.sites import config_site, find, locate
from gitcd.manifests.splice import write

__all__ = ["EditRefused", "config_site", "find", "is_plain_string", "locate", "to_yaml", "write"]
