"""What must be true of an installation's database whenever nothing is under way, whatever was killed before.

It reads as the superuser and shares no code with what it judges, but for the messages.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from ameide.engine.engine import DATABASE, Engine
from tests.acceptance.installation import Installation, git, wait_for

Row = dict[str, Any]
TERMINAL = ("WorkCompleted", "WorkFailed", "WorkCanceled")
CONSUMERS = ("ingress", "projector")


@dataclass(frozen=True)
class Oracle:
    """Reads the database of one installation, which must be up."""

    installation: Installation

    def rows(self, query: str, *parameters: object) -> list[Row]:
        """The rows of a query."""
        folder = self.installation.state_dir
        address = Engine(folder, folder, lambda _: None).postgres.address(DATABASE)
        with psycopg.connect(address.conninfo) as connection, connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query.encode(), parameters).fetchall()

    def wait_until_idle(self) -> None:
        """Everything written is in the log, and every consumer has read it."""

        def idle() -> bool:
            [row] = self.rows(
                "SELECT (SELECT count(*) FROM ameide.outbox) AS pending, h.position, min(c.position) AS read"
                " FROM ameide.log_head h, ameide.cursor c WHERE c.name = ANY(%s) GROUP BY h.position",
                list(CONSUMERS),
            )
            return row["pending"] == 0 and row["read"] == row["position"]

        wait_for(idle, "the consumers to read the whole log")

    def check(self) -> None:
        """Raises AssertionError with what is wrong."""
        self.wait_until_idle()
        self.check_log()
        self.check_versions()
        self.check_works()
        self.check_views()
        self.check_process_facts()
        self.check_nothing_is_left_over()

    def check_log(self) -> None:
        """Positions are contiguous from 1 to the head, and no message is there twice."""
        [row] = self.rows(
            "SELECT count(*) AS n, min(position) AS first, max(position) AS last, count(DISTINCT message_id) AS ids,"
            " (SELECT position FROM ameide.log_head) AS head FROM ameide.log"
        )
        assert row["first"] == 1
        assert row["n"] == row["last"] == row["head"]
        assert row["ids"] == row["n"], "a message is in the log twice"

    def check_versions(self) -> None:
        """Each aggregate's facts carry the versions 1, 2, 3… in the order of the log."""
        wrong = self.rows(
            "SELECT * FROM (SELECT aggregate_type, aggregate_id, aggregate_version, position, row_number() OVER"
            " (PARTITION BY tenant_id, aggregate_type, aggregate_id ORDER BY position) AS expected"
            " FROM ameide.log WHERE kind = 'fact') AS f WHERE aggregate_version <> expected ORDER BY position"
        )
        assert wrong == [], "versions have gaps or are out of order"

    def check_works(self) -> None:
        """Every work has exactly one terminal fact, as many starts as attempts, and no lease is left."""
        wrong = self.rows(
            "SELECT w.work_request_id, w.status, w.attempt,"
            " count(*) FILTER (WHERE l.name = ANY(%s)) AS ends,"
            " count(*) FILTER (WHERE l.name = 'WorkRequested') AS requests,"
            " count(*) FILTER (WHERE l.name = 'WorkStarted') AS starts"
            " FROM ameide.work w LEFT JOIN ameide.log l"
            "  ON l.tenant_id = w.tenant_id AND l.aggregate_id = w.work_request_id AND l.kind = 'fact'"
            " GROUP BY w.tenant_id, w.work_request_id"
            " HAVING count(*) FILTER (WHERE l.name = ANY(%s)) <> 1"
            "  OR count(*) FILTER (WHERE l.name = 'WorkRequested') <> 1"
            "  OR count(*) FILTER (WHERE l.name = 'WorkStarted') <> w.attempt"
            "  OR lower(w.status) NOT IN ('succeeded', 'failed', 'canceled')",
            list(TERMINAL),
            list(TERMINAL),
        )
        assert wrong == [], "works without exactly one outcome"
        assert self.rows("SELECT work_request_id, attempt FROM ameide.attempt WHERE ended_at IS NULL") == []

    def check_views(self) -> None:
        """The newest version of every aggregate in the log is what the views show."""
        wrong = self.rows(
            "SELECT * FROM (SELECT tenant_id, aggregate_type AS kind, aggregate_id AS id,"
            "  max(aggregate_version) AS version FROM ameide.log WHERE kind = 'fact' GROUP BY 1, 2, 3) AS f"
            " FULL JOIN (SELECT * FROM ameide.view_state WHERE kind <> 'artifact_version') AS v"
            "  USING (tenant_id, kind, id) WHERE f.version IS DISTINCT FROM v.version"
        )
        assert wrong == [], "the views differ from the log"
        [row] = self.rows(
            "SELECT (SELECT count(*) FROM ameide.log) AS logged, (SELECT count(*) FROM ameide.view_fact) AS shown"
        )
        assert row["logged"] == row["shown"]

    def check_process_facts(self) -> None:
        """Each run's own facts are numbered 1, 2, 3… in every epoch, and each is in the log once."""
        wrong = self.rows(
            "SELECT process_instance_id, run_epoch, count(*) AS n, max(seq) AS last FROM ameide.process_fact_seen"
            " GROUP BY tenant_id, process_instance_id, run_epoch HAVING count(*) <> max(seq) OR min(seq) <> 1"
        )
        assert wrong == [], "process facts have gaps"
        [row] = self.rows(
            "SELECT (SELECT count(*) FROM ameide.process_fact_seen) AS seen,"
            " (SELECT count(*) FROM ameide.log WHERE kind = 'process_fact') AS logged"
        )
        assert row["seen"] == row["logged"]

    def check_nothing_is_left_over(self) -> None:
        """No invitation, no parked message."""
        assert self.rows("SELECT queue, work_request_id FROM ameide.queue_item") == []
        assert self.rows("SELECT consumer, key, error FROM ameide.parked") == []

    def attempts(self, work_request_id: str) -> list[Row]:
        """The attempts of a work, in order."""
        return self.rows("SELECT * FROM ameide.attempt WHERE work_request_id = %s ORDER BY attempt", work_request_id)


def check_promotions(installation: Installation, change: str, gitops: Path) -> None:
    """Each promotion is one commit on main of the gitops repository, and there are no others."""
    promotions = installation.show(change)["promotions"]
    expected = [promotion["gitopsCommitSha"] for promotion in promotions]
    first, *others = git(gitops, "log", "--reverse", "--format=%H", "main").splitlines()
    assert first
    assert others == expected
    for promotion in promotions:
        assert promotion["status"] == "PROMOTION_STATUS_HEALTHY", promotion
