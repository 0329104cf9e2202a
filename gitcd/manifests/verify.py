"""The proof after every splice: the bytes read back as exactly the tree that was wanted."""

from __future__ import annotations

from yaml.nodes import Node, ScalarNode, SequenceNode

from gitcd.manifests.compose import style_of


def difference(wanted: Node, found: Node) -> Node | None:
    """The first node found that differs in kind, tag, text or quotes; None where the trees are equal.

    Nodes that aliases share are compared once.
    """
    partners: dict[int, Node] = {}
    done: set[int] = set()
    stack: list[tuple[Node, Node]] = [(wanted, found)]
    while stack:
        left, right = stack.pop()
        if left.__class__ is not right.__class__ or left.tag != right.tag:
            return right
        if left.__class__ is ScalarNode:
            if left.value != right.value or style_of(left) != style_of(right):
                return right
            continue
        known = partners.setdefault(id(left), right)
        if known is not right or len(left.value) != len(right.value):
            return right
        if id(left) in done:
            continue
        done.add(id(left))
        if left.__class__ is SequenceNode:
            stack.extend(zip(left.value, right.value, strict=True))
        else:
            for (left_key, left_value), (right_key, right_value) in zip(left.value, right.value, strict=True):
                stack.append((left_key, right_key))
                stack.append((left_value, right_value))
    return None
