-- Tokens that people and programs had made from their own for an agent. They live for an hour at most, and what they stand
-- for is looked up at the token that they were made from. Expired ones are deleted when the next one is made.
CREATE TABLE ameide.delegated_token (
    tenant_id text NOT NULL,
    token_id text NOT NULL,
    parent_id text NOT NULL,
    secret_sha256 bytea NOT NULL,
    -- Empty: it is good for being represented and nothing else, within the parent's scopes.
    scopes text[] NOT NULL DEFAULT '{}',
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, token_id)
);
CREATE INDEX delegated_token_age ON ameide.delegated_token (tenant_id, expires_at);
CREATE INDEX delegated_token_of ON ameide.delegated_token (tenant_id, parent_id, expires_at);

ALTER TABLE ameide.delegated_token ENABLE ROW LEVEL SECURITY;
ALTER TABLE ameide.delegated_token FORCE ROW LEVEL SECURITY;
CREATE POLICY app ON ameide.delegated_token TO ameide_app
    USING (tenant_id = nullif(current_setting('ameide.tenant_id', true), ''));
-- Of rows that nobody changes UPDATE is there for the lock with which they are deleted.
GRANT SELECT, INSERT, UPDATE, DELETE ON ameide.delegated_token TO ameide_app;
