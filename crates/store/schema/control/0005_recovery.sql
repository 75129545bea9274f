-- Deletions and what is swept after them; missed runs that stand for many; unambiguous audit lines.

-- Tenants that are gone. Their files are removed after their rows, again and again until that has worked.
CREATE TABLE tenant_deletion (
    tenant_id     uuid PRIMARY KEY,
    slug          text NOT NULL,
    ordered       boolean NOT NULL,
    deleted_at    timestamptz NOT NULL DEFAULT now(),
    files_gone_at timestamptz
);

-- Files of the file store that no row refers to: since when that is known, and since when they are set aside.
CREATE TABLE file_sweep (
    tenant_id   uuid NOT NULL,
    storage_key text NOT NULL,
    seen_at     timestamptz NOT NULL,
    aside_at    timestamptz,
    PRIMARY KEY (tenant_id, storage_key)
);

-- A record of missed due times may stand for all up to this one.
ALTER TABLE schedule_run ADD COLUMN until_at timestamptz;

-- Files that were already missing from the file store when a point was taken.
ALTER TABLE point ADD COLUMN missing bigint NOT NULL DEFAULT 0;

-- The hash of an event is over its fields joined by line feeds, so no field may hold one: two events would have one hash.
CREATE OR REPLACE FUNCTION holdfast_audit.append(p_tenant uuid, p_actor text, p_event text, p_object text, p_detail jsonb)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_tenant uuid := p_tenant;
    v_role   text := current_setting('role', true);
    v_seq    bigint := 0;
    v_hash   text := '';
    v_at     timestamptz;
    v_actor  text := replace(replace(p_actor, E'\\', E'\\\\'), E'\n', E'\\n');
    v_event  text := replace(replace(p_event, E'\\', E'\\\\'), E'\n', E'\\n');
    v_object text := replace(replace(p_object, E'\\', E'\\\\'), E'\n', E'\\n');
BEGIN
    IF session_user <> current_user THEN
        SELECT t.id INTO v_tenant FROM holdfast.tenant t WHERE t.schema_id = v_role;
        IF v_tenant IS NULL THEN
            RAISE EXCEPTION 'only a tenant role or the owner may write audit events' USING ERRCODE = '42501';
        END IF;
    END IF;
    PERFORM pg_advisory_xact_lock(7235419881123001);
    SELECT e.seq, e.hash INTO v_seq, v_hash FROM holdfast.audit_event e ORDER BY e.seq DESC LIMIT 1;
    IF NOT FOUND THEN
        v_seq := 0;
        v_hash := '';
    END IF;
    v_at := clock_timestamp();
    INSERT INTO holdfast.audit_event (seq, at, tenant_id, actor, event, object, detail, previous_hash, hash)
    VALUES (v_seq + 1, v_at, v_tenant, v_actor, v_event, v_object, p_detail, v_hash,
            holdfast.audit_hash(v_hash, v_seq + 1, v_at, v_tenant, v_actor, v_event, v_object, p_detail));
    RETURN v_seq + 1;
END $$;

-- What must not come back with an older point: revoked tokens, erased members, members archived (or not any more). Holds no
-- content. Written by triggers in tenants' schemas, replayed after every restore and swap.
CREATE TABLE ledger (
    seq       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id uuid NOT NULL,
    at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    kind      text NOT NULL CHECK (kind IN ('token', 'erased', 'archived', 'unarchived')),
    ref       text NOT NULL
);
CREATE INDEX ledger_tenant_idx ON ledger (tenant_id, seq);

CREATE FUNCTION holdfast_audit.note_removal() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_tenant uuid;
    v_old    jsonb := to_jsonb(OLD);
BEGIN
    SELECT t.id INTO v_tenant FROM holdfast.tenant t WHERE t.schema_id = TG_TABLE_SCHEMA;
    IF v_tenant IS NULL THEN
        RETURN NULL;
    END IF;
    IF TG_TABLE_NAME = 'access_token' THEN
        INSERT INTO holdfast.ledger (tenant_id, kind, ref) VALUES (v_tenant, 'token', v_old->>'token_id');
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO holdfast.ledger (tenant_id, kind, ref) VALUES (v_tenant, 'erased', v_old->>'id');
    ELSE
        INSERT INTO holdfast.ledger (tenant_id, kind, ref)
        VALUES (v_tenant, CASE WHEN (v_old->>'archived')::boolean THEN 'unarchived' ELSE 'archived' END, v_old->>'id');
    END IF;
    RETURN NULL;
END $$;

-- Which tenants changed places, and until when the old rows are kept beside.
CREATE TABLE tenant_swap (
    seq        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    live_id    uuid NOT NULL,
    other_id   uuid NOT NULL,
    at         timestamptz NOT NULL DEFAULT now(),
    keep_until timestamptz NOT NULL,
    undone_at  timestamptz
);
CREATE INDEX tenant_swap_live_idx ON tenant_swap (live_id, seq DESC);
