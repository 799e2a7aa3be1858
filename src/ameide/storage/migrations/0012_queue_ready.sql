-- What a scaler asks: how many works of a queue wait for an executor. It is told that number and nothing else.
CREATE FUNCTION ameide.queue_ready(queue text, tenant text DEFAULT NULL) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT count(*) FROM ameide.queue_item i
    WHERE i.queue = queue_ready.queue AND i.tenant_id = coalesce(queue_ready.tenant, i.tenant_id)
$$;
-- Executors of one tenant's token work off that tenant's works, so a scaler may ask for those alone.
COMMENT ON FUNCTION ameide.queue_ready(text, text) IS 'Works of a queue that wait for an executor, of one tenant if it is named';

-- The guard holds for owners, too; this one logs in nowhere, and is who the function reads as.
CREATE POLICY queue_ready ON ameide.queue_item FOR SELECT TO ameide_owner USING (true);

-- Everybody may execute a new function unless that is taken back, and a scaler's role is to have this one alone.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA ameide FROM PUBLIC;
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
GRANT USAGE ON SCHEMA ameide TO ameide_keda;
GRANT EXECUTE ON FUNCTION ameide.queue_ready(text, text) TO ameide_keda;
