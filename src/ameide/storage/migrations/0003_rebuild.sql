-- The read model again, beside the live one: shadow tables in a schema of their own, filled while the live projector goes
-- on, then put in the place of the live ones at once. The projector owns no table, so the owner does these steps for it.

CREATE SCHEMA ameide_shadow;
GRANT USAGE ON SCHEMA ameide_shadow TO ameide_projector;

-- New and empty, with the primary keys; whatever an earlier rebuild left behind is dropped.
CREATE FUNCTION ameide.make_shadow(tables text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    t text;
    key record;
BEGIN
    FOREACH t IN ARRAY tables LOOP
        IF t !~ '^view_[a-z_]+$' THEN
            RAISE EXCEPTION '% is no table of the read model', t;
        END IF;
        EXECUTE format('DROP TABLE IF EXISTS ameide_shadow.%I', t);
        EXECUTE format('CREATE TABLE ameide_shadow.%I (LIKE ameide.%I INCLUDING ALL EXCLUDING INDEXES)', t, t);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE ON ameide_shadow.%I TO ameide_projector', t);
        FOR key IN
            SELECT conname, pg_get_constraintdef(oid) AS definition FROM pg_constraint
            WHERE conrelid = format('ameide.%I', t)::regclass AND contype = 'p'
        LOOP
            EXECUTE format('ALTER TABLE ameide_shadow.%I ADD CONSTRAINT %I %s', t, key.conname, key.definition);
        END LOOP;
    END LOOP;
END
$$;

-- Everything else that the live tables have: indexes, storage parameters, policies, rights. Building an index over filled
-- tables is cheaper than keeping it while they fill.
CREATE FUNCTION ameide.finish_shadow(tables text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    t text;
    live regclass;
    found record;
BEGIN
    FOREACH t IN ARRAY tables LOOP
        live := format('ameide.%I', t)::regclass;
        FOR found IN
            SELECT pg_get_indexdef(indexrelid) AS definition FROM pg_index WHERE indrelid = live AND NOT indisprimary
        LOOP
            EXECUTE regexp_replace(found.definition, ' ON ameide\.', ' ON ameide_shadow.');
        END LOOP;
        FOR found IN SELECT unnest(reloptions) AS parameter FROM pg_class WHERE oid = live LOOP
            EXECUTE format('ALTER TABLE ameide_shadow.%I SET (%s)', t, found.parameter);
        END LOOP;
        FOR found IN SELECT * FROM pg_policies WHERE schemaname = 'ameide' AND tablename = t LOOP
            EXECUTE format(
                'CREATE POLICY %I ON ameide_shadow.%I AS %s FOR %s TO %s', found.policyname, t, found.permissive, found.cmd,
                (SELECT string_agg(quote_ident(r), ', ') FROM unnest(found.roles) AS r))
                || coalesce(' USING (' || found.qual || ')', '') || coalesce(' WITH CHECK (' || found.with_check || ')', '');
        END LOOP;
        FOR found IN
            SELECT a.privilege_type, a.grantee::regrole AS grantee FROM pg_class c, aclexplode(c.relacl) AS a
            WHERE c.oid = live AND a.grantee <> c.relowner
        LOOP
            EXECUTE format('GRANT %s ON ameide_shadow.%I TO %s', found.privilege_type, t, found.grantee);
        END LOOP;
        EXECUTE format('ANALYZE ameide_shadow.%I', t);
    END LOOP;
END
$$;

-- In the caller's transaction, which holds the projector's cursor: guard the shadow tables and let them take the place of
-- the live ones. Answers swapped, or busy when readers kept a table; nothing has changed then. It gives up sooner than the
-- server looks for deadlocks: a reader of two tables that the swap meets half-way must not be the one that is ended.
CREATE FUNCTION ameide.swap_shadow(tables text[]) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '200ms' AS $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY tables LOOP
        EXECUTE format('ALTER TABLE ameide_shadow.%I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE ameide_shadow.%I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('DROP TABLE ameide.%I', t);
        EXECUTE format('ALTER TABLE ameide_shadow.%I SET SCHEMA ameide', t);
    END LOOP;
    RETURN 'swapped';
EXCEPTION WHEN lock_not_available THEN
    RETURN 'busy';
END
$$;

-- What a check without a swap leaves behind.
CREATE FUNCTION ameide.drop_shadow(tables text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY tables LOOP
        EXECUTE format('DROP TABLE IF EXISTS ameide_shadow.%I', t);
    END LOOP;
END
$$;

REVOKE ALL ON FUNCTION ameide.make_shadow(text[]), ameide.finish_shadow(text[]), ameide.swap_shadow(text[]),
    ameide.drop_shadow(text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ameide.make_shadow(text[]), ameide.finish_shadow(text[]), ameide.swap_shadow(text[]),
    ameide.drop_shadow(text[]) TO ameide_projector;
