"""Compare nested settings."""

from collections.abc import Mapping, Sequence
from typing import Any


def differing(nodes: Sequence[Any], prefix: str = "") -> dict[str, list[Any]]:
    """Return where settings are not all the same: dotted name -> the value of each, None where it has none."""
    if all(node == nodes[0] for node in nodes):
        return {}
    if any(isinstance(node, Mapping) and "_target_" not in node for node in nodes):
        nodes = [{} if node is None else node for node in nodes]  # it only holds others: which of them is it?
    if not all(isinstance(node, Mapping) for node in nodes):
        return {prefix: list(nodes)}
    values: dict[str, list[Any]] = {}
    for key in dict.fromkeys(key for node in nodes for key in node):
        values |= differing([node.get(key) for node in nodes], f"{prefix}.{key}".lstrip("."))
    return values
