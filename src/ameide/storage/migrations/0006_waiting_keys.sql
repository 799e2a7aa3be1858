-- A key may wait for what comes right by itself, e.g. a run whose workflow takes no signal for now: it is released again
-- without a person from this time on. NULL: a person must look.
ALTER TABLE ameide.parked ADD COLUMN retry_at timestamptz;
CREATE INDEX parked_due ON ameide.parked (consumer, retry_at) WHERE retry_at IS NOT NULL;
