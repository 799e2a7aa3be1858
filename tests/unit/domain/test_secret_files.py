"""Where a policy may lay secret files."""

from __future__ import annotations

import pytest

from ameide.domain.decisions.default_policy import default_policy
from ameide.domain.decisions.repository import check_policy
from ameide.errors import InvalidArgument
from ameide_core_proto.transformation.work.v1.work_pb import PackageSecret


def check(*secrets: PackageSecret) -> None:
    policy = default_policy("orders", gitops=False)
    policy.verify_secrets = list(secrets)
    check_policy(policy)


def test_a_place_of_its_own_is_fine() -> None:
    check(
        PackageSecret(name="a", home_path=".netrc"), PackageSecret(name="a", home_path=".npmrc", variable="NPM_CONFIG")
    )


@pytest.mark.parametrize(
    ("secrets", "field"),
    [
        ([PackageSecret(name="a", home_path=".netrc"), PackageSecret(name="b", home_path=".netrc")], "verify_secrets"),
        ([PackageSecret(name="a", variable="X"), PackageSecret(name="b", variable="X")], "verify_secrets"),
        ([PackageSecret(name="a", home_path="../.netrc")], "home_path"),
        ([PackageSecret(name="a", home_path=".config/../../x")], "home_path"),
        ([PackageSecret(name="a", variable="LD_PRELOAD")], "variable"),
    ],
)
def test_two_in_one_place_and_places_elsewhere_are_refused(secrets: list[PackageSecret], field: str) -> None:
    with pytest.raises(InvalidArgument, match=field):
        check(*secrets)
