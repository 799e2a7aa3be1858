"""A policy as people write it: YAML or JSON in a file."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from ameide.errors import InvalidArgument
from ameide_core_proto.transformation.governance.v1.policy_pb import Policy


def read_policy(file: Path) -> Policy:
    """The policy in a file. Raises `InvalidArgument`."""
    try:
        return Policy.from_json(json.dumps(yaml.safe_load(file.read_text(encoding="utf-8"))))
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise InvalidArgument(
            f"{file} is no policy: {error}",
            field="policy",
            remedy="Start from the output of `ameide repo policy show NAME`",
        ) from error
