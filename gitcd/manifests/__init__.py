"""Manifests: find what may hold an image, and change exactly that.

The only importer of YAML libraries. PyYAML's C parser gives positions, ruamel.yaml the rules of YAML 1.2; neither ever
writes a manifest: changes are spliced into the original bytes.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__all__ = ["EditRefused", "config_site", "find", "is_plain_string", "locate", "to_yaml", "write"]

if TYPE_CHECKING:
    from gitcd.manifests.chunks import EditRefused
    from gitcd.manifests.dump import to_yaml
    from gitcd.manifests.scalars import is_plain_string
    from gitcd.manifests.sites import config_site, find, locate
    from gitcd.manifests.splice import write
else:  # looked up when they are used: who reads a settings file has use for none of them
    _HOMES = {"EditRefused": "chunks", "to_yaml": "dump", "is_plain_string": "scalars", "write": "splice"}
    _HOMES |= dict.fromkeys(("config_site", "find", "locate"), "sites")

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        return found
