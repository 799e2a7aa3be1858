"""Tokens are opaque, and only ours are taken."""

import pytest

from ameide.errors import InvalidArgument
from ameide.views import paging
from ameide_core_proto.common.v1.reading_pb import Page


def test_a_token_comes_back_as_the_numbers_it_was_made_of():
    token = paging.encode(17, 0, 1767225600000000)
    assert "17" not in token
    assert paging.decode(Page(token=token), 3) == (17, 0, 1767225600000000)
    assert paging.decode(None, 3) is None
    assert paging.decode(Page(size=3), 3) is None


@pytest.mark.parametrize("token", ["%", "zzz", "é", paging.encode(1), paging.encode(1 << 70, 2), "MTIz=="])
def test_a_token_of_another_list_is_refused_by_its_field(token: str):
    with pytest.raises(InvalidArgument, match=r"page\.token"):
        paging.decode(Page(token=token), 2)


def test_the_size_has_a_default():
    assert paging.size_of(None) == paging.size_of(Page()) == paging.DEFAULT_SIZE
    assert paging.size_of(Page(size=500)) == 500
