"""Log lines are JSON without credentials, wherever in the line they stand; also the last words of a process."""

from __future__ import annotations

import json
import subprocess
import sys

TOKEN = "ghp_0123456789abcdefghijABCDEFGHIJ012345"
PROGRAM = f"""
import logging
from ameide import logs
from ameide.infra.redaction import Redactor

logs.configure("INFO", Redactor(["known-to-us"]).text)
log = logging.getLogger("ameide.tests")
with logs.bound(correlation_id="chg-1"):
    names = ["known-to-us", "other"]
    log.info("said %s", "{TOKEN}", extra={{"names": names, "count": 3, "nested": {{"a": "known-to-us"}}}})
raise RuntimeError("password=Zk8vQ2mX9sLw4tRb")
"""


def test_no_credential_is_logged() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    said, last = [json.loads(line) for line in done.stderr.splitlines()]
    assert done.returncode == 1
    assert (said["message"], said["correlation_id"]) == ("said [redacted]", "chg-1")
    assert (said["names"], said["count"]) == (["[redacted]", "other"], 3)
    assert last["message"] == "ended by an unexpected error"
    assert last["error"].endswith("RuntimeError: password=[redacted]")
    assert not any(secret in done.stderr for secret in (TOKEN, "known-to-us", "Zk8vQ2mX9sLw4tRb"))
