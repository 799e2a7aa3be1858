-- What executors without a store of their own put there through the gateway. The row is written before the object is, with
-- its size, so that an attempt stays within its bounds however many uploads it begins at once; the hash follows once the
-- object is stored. Evidence may then name only what has one.
CREATE TABLE ameide.upload (
    tenant_id text NOT NULL,
    work_request_id text NOT NULL,
    attempt integer NOT NULL,
    name text NOT NULL,
    bytes bigint NOT NULL,
    -- Empty until the object is stored.
    sha256 text NOT NULL DEFAULT '',
    PRIMARY KEY (tenant_id, work_request_id, attempt, name)
);
ALTER TABLE ameide.upload ENABLE ROW LEVEL SECURITY;
ALTER TABLE ameide.upload FORCE ROW LEVEL SECURITY;
CREATE POLICY app ON ameide.upload TO ameide_app USING (tenant_id = nullif(current_setting('ameide.tenant_id', true), ''));
GRANT SELECT, INSERT, UPDATE ON ameide.upload TO ameide_app;

-- The attempt's evidence comes through the gateway: it has opened an upload.
ALTER TABLE ameide.attempt ADD COLUMN by_gateway boolean NOT NULL DEFAULT false;

-- A token for executors outside: it only executes, and its evidence comes through the gateway.
ALTER TABLE ameide.api_token ADD COLUMN only_executes boolean NOT NULL DEFAULT false;
