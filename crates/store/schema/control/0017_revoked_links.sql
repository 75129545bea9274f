-- Share links that somebody revoked must not come back with an older point.
ALTER TABLE ledger DROP CONSTRAINT ledger_kind_check;
ALTER TABLE ledger ADD CONSTRAINT ledger_kind_check CHECK (kind IN ('token', 'share', 'erased', 'archived', 'unarchived'));

-- As before, and a share link: by the hash of its token, which opens nothing. Its trigger is deferred to the end of the
-- transaction, when a note that went with its links is gone: those were not revoked by anybody.
CREATE OR REPLACE FUNCTION holdfast_audit.note_removal() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_tenant uuid;
    v_old    jsonb := to_jsonb(OLD);
    v_note   boolean;
BEGIN
    SELECT t.id INTO v_tenant FROM holdfast.tenant t WHERE t.schema_id = TG_TABLE_SCHEMA;
    IF v_tenant IS NULL THEN
        RETURN NULL;
    END IF;
    IF TG_TABLE_NAME = 'access_token' THEN
        INSERT INTO holdfast.ledger (tenant_id, kind, ref) VALUES (v_tenant, 'token', v_old->>'token_id');
    ELSIF TG_TABLE_NAME = 'note_share' THEN
        EXECUTE format('SELECT EXISTS (SELECT FROM %I.note WHERE id = $1)', TG_TABLE_SCHEMA)
            INTO v_note USING (v_old->>'note_id')::bigint;
        IF v_note THEN
            INSERT INTO holdfast.ledger (tenant_id, kind, ref)
            VALUES (v_tenant, 'share', encode(sha256(convert_to(v_old->>'token', 'UTF8')), 'hex'));
        END IF;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO holdfast.ledger (tenant_id, kind, ref) VALUES (v_tenant, 'erased', v_old->>'id');
    ELSE
        INSERT INTO holdfast.ledger (tenant_id, kind, ref)
        VALUES (v_tenant, CASE WHEN (v_old->>'archived')::boolean THEN 'unarchived' ELSE 'archived' END, v_old->>'id');
    END IF;
    RETURN NULL;
END $$;
