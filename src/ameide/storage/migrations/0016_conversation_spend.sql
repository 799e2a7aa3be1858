-- What conversations with agents have used, month by month: a conversation may go on for longer than a tenant's budget
-- counts. A change's budget adds up its conversations' own records. Nothing is held: a model's answer has no price before
-- it is there.
CREATE TABLE ameide.conversation_spend (
    tenant_id text NOT NULL,
    conversation_id text NOT NULL,
    -- The first moment of the month, in UTC.
    month timestamptz NOT NULL,
    used_tokens bigint NOT NULL DEFAULT 0,
    used_cost_micros bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, conversation_id, month)
) WITH (fillfactor = 70);
CREATE INDEX conversation_spend_since ON ameide.conversation_spend (tenant_id, month);

ALTER TABLE ameide.conversation_spend ENABLE ROW LEVEL SECURITY;
ALTER TABLE ameide.conversation_spend FORCE ROW LEVEL SECURITY;
CREATE POLICY app ON ameide.conversation_spend TO ameide_app
    USING (tenant_id = nullif(current_setting('ameide.tenant_id', true), ''));
GRANT SELECT, INSERT, UPDATE ON ameide.conversation_spend TO ameide_app;
