"""Keys of ConfigMaps: the values present, and the spot where one may be inserted."""

from __future__ import annotations

from yaml.nodes import MappingNode, ScalarNode

from gitcd.manifests.collect import Collector
from gitcd.manifests.cursor import Cursor, escape

DATA = "/data"
MAX_KEYS = 1000  # of one ConfigMap; no person writes more, and each would be a site to look at


def pointer(key: str) -> str:
    return f"{DATA}/{escape(key)}"


def find(item: Cursor, collector: Collector) -> None:
    if collector.owner.kind != "ConfigMap":
        return
    data = item.get("data")
    if data is None or not isinstance(data.node, MappingNode):
        collector.config(item, insertion=True)  # nothing can be inserted there, but people can be told where it is
        return
    if len(data.node.value) > MAX_KEYS:
        collector.pass_over(data, f"ConfigMap {collector.owner.name} has more than {MAX_KEYS} keys")
        return
    collector.config(data, insertion=True)
    for _, child in data.children():
        if isinstance(child.node, ScalarNode):
            collector.config(child, insertion=False)
