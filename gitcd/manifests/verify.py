"""The proof after every splice: the bytes read back as exactly the tree that was wanted."""

from __future__ import annotations

from itertools import chain

from yaml.nodes import MappingNode, Node, ScalarNode


def difference(wanted: Node, found: Node) -> Node | None:
    """The first node found that differs in kind, tag, text or quotes; None where the trees are equal.

    Nodes that aliases share must be shared alike, and are compared once.
    """
    partners: dict[int, Node] = {}
    stack = [(wanted, found)]
    while stack:
        left, right = stack.pop()
        if left.__class__ is not right.__class__ or left.tag != right.tag:
            return right
        if isinstance(left, ScalarNode) and isinstance(right, ScalarNode):
            if left.value != right.value or left.style != right.style:
                return right
            continue
        known = partners.get(id(left))
        if known is right:
            continue
        if known is not None or len(left.value) != len(right.value):
            return right
        partners[id(left)] = right
        if isinstance(left, MappingNode):
            stack += zip(chain.from_iterable(left.value), chain.from_iterable(right.value), strict=True)
        else:
            stack += zip(left.value, right.value, strict=True)
    return None
