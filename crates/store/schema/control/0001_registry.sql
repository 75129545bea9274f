-- The control plane's ground: which tenants there are, where their rows live, and the audit chain.
-- Run with search_path set to the schema `holdfast`, which holds nothing of any tenant's own.

-- Values of the instance as a whole (its id, the prefix of its roles).
CREATE TABLE setting (
    key   text  PRIMARY KEY,
    value jsonb NOT NULL
);

-- Roles the server signs in with. Each may enter at most 1,000 tenants: membership checks are quadratic.
CREATE TABLE login_shard (
    id       integer PRIMARY KEY,
    role     text    NOT NULL UNIQUE,
    password text    NOT NULL
);

-- Ready-made schemas that wait for a tenant; claiming one is a DELETE here and an INSERT in `tenant`.
CREATE TABLE stock_schema (
    schema_id  text    PRIMARY KEY,
    shard      integer NOT NULL,
    version    integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE tenant (
    id          uuid    PRIMARY KEY,
    slug        text    NOT NULL CONSTRAINT tenant_slug_key UNIQUE,
    schema_id   text    NOT NULL CONSTRAINT tenant_schema_key UNIQUE,
    shard       integer NOT NULL,
    version     integer NOT NULL,
    state       text    NOT NULL,
    public_url  text,
    epoch       bigint  NOT NULL DEFAULT 1,
    origin      jsonb   NOT NULL DEFAULT '{}',
    delete_after timestamptz,
    created_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE tenant_host (
    host      text PRIMARY KEY,
    tenant_id uuid NOT NULL
);
CREATE INDEX tenant_host_tenant_idx ON tenant_host (tenant_id);

-- What happened, in order. Rows are only ever added, each holding the hash of the one before.
CREATE TABLE audit_event (
    seq           bigint PRIMARY KEY,
    at            timestamptz NOT NULL,
    tenant_id     uuid,
    actor         text   NOT NULL,
    event         text   NOT NULL,
    object        text   NOT NULL,
    detail        jsonb  NOT NULL,
    previous_hash text   NOT NULL,
    hash          text   NOT NULL
);
CREATE INDEX audit_event_tenant_idx ON audit_event (tenant_id, seq);

CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit events are never changed or removed';
END $$;
CREATE TRIGGER audit_event_append_only BEFORE UPDATE OR DELETE ON audit_event
    FOR EACH ROW EXECUTE FUNCTION audit_is_append_only();
CREATE TRIGGER audit_event_keep BEFORE TRUNCATE ON audit_event
    FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only();

-- The hash of one event: SHA-256 over the fields joined by line feeds.
CREATE FUNCTION audit_hash(previous text, seq bigint, at timestamptz, tenant uuid, actor text, event text, object text, detail jsonb)
RETURNS text LANGUAGE sql STABLE AS $$
    SELECT encode(sha256(convert_to(concat_ws(E'\n', previous, seq::text,
        to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), coalesce(tenant::text, '-'),
        actor, event, object, detail::text), 'UTF8')), 'hex')
$$;

-- The one way to add an event, open to tenant roles through their own transaction. A tenant's role always writes as its
-- own tenant; only the owner of this function names another or none.
CREATE SCHEMA IF NOT EXISTS holdfast_audit;
GRANT USAGE ON SCHEMA holdfast_audit TO PUBLIC;
CREATE FUNCTION holdfast_audit.append(p_tenant uuid, p_actor text, p_event text, p_object text, p_detail jsonb)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_tenant uuid := p_tenant;
    v_role   text := current_setting('role', true);
    v_seq    bigint := 0;
    v_hash   text := '';
    v_at     timestamptz;
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
    VALUES (v_seq + 1, v_at, v_tenant, p_actor, p_event, p_object, p_detail, v_hash,
            holdfast.audit_hash(v_hash, v_seq + 1, v_at, v_tenant, p_actor, p_event, p_object, p_detail));
    RETURN v_seq + 1;
END $$;
