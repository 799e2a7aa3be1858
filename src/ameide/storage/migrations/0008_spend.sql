-- What works have used and still hold, for the budget of a whole tenant: a change's is added up from its own works, a
-- tenant has too many of them. One row for each work that counts, written with the work and under its lock.
CREATE TABLE ameide.spend (
    tenant_id text NOT NULL,
    work_request_id text NOT NULL,
    -- The period that the work counts in.
    requested_at timestamptz NOT NULL,
    -- By attempts that ended.
    used_tokens bigint NOT NULL DEFAULT 0,
    used_cost_micros bigint NOT NULL DEFAULT 0,
    -- What the work may still use; nothing once it has ended.
    held_tokens bigint NOT NULL DEFAULT 0,
    held_cost_micros bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, work_request_id)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01);
CREATE INDEX spend_since ON ameide.spend (tenant_id, requested_at);

ALTER TABLE ameide.spend ENABLE ROW LEVEL SECURITY;
ALTER TABLE ameide.spend FORCE ROW LEVEL SECURITY;
CREATE POLICY app ON ameide.spend TO ameide_app USING (tenant_id = nullif(current_setting('ameide.tenant_id', true), ''));
CREATE POLICY ameide_sweeper ON ameide.spend TO ameide_sweeper USING (true);
GRANT SELECT, INSERT, UPDATE ON ameide.spend TO ameide_app, ameide_sweeper;
