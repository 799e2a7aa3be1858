"""The gitops repository: one file for every environment, in it one `image.ref`.

A promotion changes that scalar and nothing else.
"""

from __future__ import annotations

from typing import cast

import yaml

from ameide.contracts.image_ref import ImageRef
from ameide.errors import AmeideError

KEYS = ("image", "ref")


class GitopsFileError(AmeideError):
    """The environment's file has no `image.ref` that can be exchanged. The message names file, field and remedy."""


def image_ref_in(text: str, file: str) -> str:
    """The value of `image.ref`. Raises `GitopsFileError`."""
    return cast(str, _scalar(text, file).value)


def with_image_ref(text: str, ref: ImageRef, file: str) -> str:
    """The same text with another `image.ref`; comments, quotes, order and line ends stay as they are.

    Raises `GitopsFileError`.
    """
    scalar = _scalar(text, file)
    start, end = scalar.start_mark, scalar.end_mark
    if start.line != end.line or scalar.style in {"|", ">"}:
        raise GitopsFileError("spans several lines", field=f"{file} image.ref", remedy="Write it on one line.")
    # Marks count characters; the text is what was parsed, so slices of it are exact.
    quote = scalar.style or ""
    gap = " " if text[: start.index].endswith(":") else ""
    changed = f"{text[: start.index]}{gap}{quote}{ref}{quote}{text[end.index :]}"
    try:
        exchanged = image_ref_in(changed, file) == str(ref)
    except GitopsFileError:
        exchanged = False
    if not exchanged:
        # An alias stands for a value elsewhere, a tag for another type.
        raise GitopsFileError(
            "is not a plain text of its own", field=f"{file} image.ref", remedy='Write `ref: ""`, without alias or tag.'
        )
    return changed


def _scalar(text: str, file: str) -> yaml.ScalarNode:
    try:
        documents = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise GitopsFileError(f"is no YAML ({error})", field=file, remedy="Correct the file.") from error
    if len(documents) != 1:
        raise GitopsFileError(
            f"has {len(documents)} documents",
            field=file,
            remedy="Keep one document in the file, with `image: {ref: …}`.",
        )
    node: yaml.Node | None = documents[0]
    for key in KEYS:
        found = [value for name, value in node.value if name.value == key] if isinstance(node, yaml.MappingNode) else []
        if len(found) != 1:
            raise GitopsFileError(
                "is missing, or there twice",
                field=f"{file} {'.'.join(KEYS)}",
                remedy="Add `image:` with `ref:` below it, once.",
            )
        node = found[0]
    if not isinstance(node, yaml.ScalarNode):
        raise GitopsFileError(
            "is not text", field=f"{file} image.ref", remedy='Write `ref: ""` until something is deployed.'
        )
    return node
