-- The one way for a tenant's own transaction to ask for work on its outgoing messages: the job stands or falls with the
-- change that caused it. A tenant's role always asks for its own tenant; whatever the message is, the worker reads it
-- from the tenant's rows.
CREATE SCHEMA IF NOT EXISTS holdfast_outgoing;
GRANT USAGE ON SCHEMA holdfast_outgoing TO PUBLIC;
CREATE FUNCTION holdfast_outgoing.ask(p_kind text, p_id bigint) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_tenant uuid;
BEGIN
    IF p_kind NOT IN ('webhook', 'mail') THEN
        RAISE EXCEPTION 'only webhooks and mails are asked for here' USING ERRCODE = '42501';
    END IF;
    SELECT t.id INTO v_tenant FROM holdfast.tenant t WHERE t.schema_id = current_setting('role', true);
    IF v_tenant IS NULL THEN
        RETURN false;
    END IF;
    INSERT INTO holdfast.job (kind, tenant_id, payload, once_key, max_attempts)
    VALUES (p_kind, v_tenant, jsonb_build_object('tenant', v_tenant, 'id', p_id),
            p_kind || ':' || v_tenant || ':' || p_id, 1000)
    ON CONFLICT (once_key) WHERE once_key IS NOT NULL AND state IN ('queued', 'running') DO NOTHING;
    RETURN true;
END $$;
