"""Keys of ConfigMaps: the values present, and the spot where one may be inserted."""

from __future__ import annotations

from yaml.nodes import MappingNode, ScalarNode

from gitcd.manifests.collect import Collector
from gitcd.manifests.cursor import Cursor, escape

DATA = "/data"


def pointer(key: str) -> str:
    return f"{DATA}/{escape(key)}"


def find(item: Cursor, collector: Collector) -> None:
    data = item.get("data") if collector.owner.kind == "ConfigMap" else None
    if data is None or not isinstance(data.node, MappingNode):
        return
    collector.config(data, insertion=True)
    for _, child in data.children():
        if isinstance(child.node, ScalarNode):
            collector.config(child, insertion=False)
