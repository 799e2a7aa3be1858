"""Exchanging `image.ref` in files as people write them."""

from __future__ import annotations

import pytest

from ameide.contracts.image_ref import ImageRef
from ameide.delivery.gitops import GitopsFileError, image_ref_in, with_image_ref

REF = ImageRef.parse(f"local/orders:{'a' * 40}@sha256:{'b' * 64}")


@pytest.mark.parametrize(
    "text",
    [
        'image:\n  ref: ""  # the release\n',
        "image: {tag: x, ref: old}\r\nother: 1\r\n",
        "image:\n  ref:\nresources: &r {cpu: 1}\nlimits: *r\n",
        "# ref: x\nimage:\n  ref: 'it''s'\n",
    ],
)
def test_one_line_changes(text: str) -> None:
    changed = with_image_ref(text, REF, "values.yaml")
    assert image_ref_in(changed, "values.yaml") == str(REF)
    before, after = text.split("\n"), changed.split("\n")
    assert len(before) == len(after)
    assert sum(one != other for one, other in zip(before, after, strict=True)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "base: &b old\nimage:\n  ref: *b\n",
        "image:\n  ref: |\n    old\n",
        "image:\n  ref: a\n  ref: b\n",
        "image:\n  ref: [a]\n",
        "image: x\n",
        "--- {}\n--- {}\n",
        "a: [\n",
    ],
)
def test_anything_else_is_refused_by_name(text: str) -> None:
    with pytest.raises(GitopsFileError, match=r"values\.yaml"):
        with_image_ref(text, REF, "values.yaml")
