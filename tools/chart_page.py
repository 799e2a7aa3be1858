"""The reference page of the chart, from the comments in its values.yaml."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import yaml

CHART = Path(__file__).parents[1] / "deploy" / "helm" / "ameide"


def chart() -> str:
    """Every value with its default and its meaning."""
    text = (
        "# The Helm chart\n\nThe values of [`deploy/helm/ameide`](../../deploy/helm/ameide/values.yaml); the how-to is "
        "[Run it on Kubernetes](../how-to/kubernetes.md). A value that is not here is refused, as is one that cannot "
        "work; the message says what to write. What every process can be told besides is in [Settings](settings.md).\n"
    )
    lines, root = _read()
    for key, value in root.value:
        text += f"\n## {key.value}\n\n{_said(lines, key)}\n"
        rows = [f"| `{name}` | `{default}` | {said} |" for name, default, said in _leaves(lines, value, key.value)]
        if rows:
            text += "\n| value | default | |\n|---|---|---|\n" + "\n".join(rows) + "\n"
        else:
            text += f"\nDefault `{_default(lines, value)}`.\n"
    return text


def unexplained() -> list[str]:
    """The values that no comment stands above; those of a map that is explained as a whole are explained."""
    lines, root = _read()
    bare = [key.value for key, _ in root.value if not _said(lines, key)]
    for key, value in root.value:
        if key.value != "queues":
            bare += [name for name, _, said in _leaves(lines, value, key.value) if not said]
    return bare


def _read() -> tuple[list[str], yaml.MappingNode]:
    lines = (CHART / "values.yaml").read_text(encoding="utf-8").splitlines()
    root = yaml.compose("\n".join(lines), yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode)
    return lines, root


def _leaves(lines: list[str], value: yaml.Node, path: str, above: str = "") -> Iterator[tuple[str, str, str]]:
    """Name, default and meaning of what lies below; a role has its meaning from the map above it."""
    if not isinstance(value, yaml.MappingNode) or value.flow_style:
        return
    for key, below in value.value:
        name, said = f"{path}.{key.value}", _said(lines, key)
        deeper = list(_leaves(lines, below, name, said))
        yield from deeper or [(name, _default(lines, below), said or above)]


def _said(lines: list[str], key: yaml.Node) -> str:
    """The comment just above a key."""
    found: list[str] = []
    number = key.start_mark.line - 1
    while number >= 0 and lines[number].strip().startswith("#"):
        found.insert(0, lines[number].strip().lstrip("# "))
        number -= 1
    return " ".join(found)


def _default(lines: list[str], value: yaml.Node) -> str:
    """A default as the file has it."""
    start, end = value.start_mark, value.end_mark
    return lines[start.line][start.column : end.column if end.line == start.line else None].replace("|", "\\|")
