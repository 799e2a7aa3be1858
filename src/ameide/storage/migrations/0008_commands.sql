-- Opens a command in one statement: its tenant, its idempotency key, the clock, and the answer that the key has already.
-- A key is a lock before it is a row: a concurrent twin waits here for our commit and then finds our answer, which is
-- written once, with the effect. Each statement inside sees what was committed before it began.
CREATE FUNCTION ameide.open_command(tenant text, named text, key text)
RETURNS TABLE (now timestamptz, fingerprint bytea, response bytea) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('ameide.tenant_id', tenant, true);
    PERFORM pg_advisory_xact_lock(hashtextextended(tenant || ':' || named || ':' || key, 5275));
    SELECT i.fingerprint, i.response INTO fingerprint, response
    FROM ameide.idempotency i WHERE i.tenant_id = tenant AND i.command = named AND i.client_request_id = key;
    now := clock_timestamp();
    RETURN NEXT;
END
$$;
GRANT EXECUTE ON FUNCTION ameide.open_command(text, text, text) TO ameide_app;
