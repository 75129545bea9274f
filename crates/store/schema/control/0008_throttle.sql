-- Wrong passwords, counted for all processes: at one account from one address, and at one account. A key is a hash: people
-- type passwords into the field of the name. Losing the counts in a crash costs nothing that matters: the table is unlogged.
-- Rows that are over are removed now and then; each row has cost its maker the hash of a password.
CREATE UNLOGGED TABLE sign_in_failure (
    tenant_id uuid    NOT NULL,
    key       text    NOT NULL,
    since     bigint  NOT NULL,
    wrong     integer NOT NULL,
    PRIMARY KEY (tenant_id, key)
);
CREATE INDEX sign_in_failure_since_idx ON sign_in_failure (since);

-- For tenant roles, each about its own tenant only.
CREATE SCHEMA IF NOT EXISTS holdfast_throttle;
GRANT USAGE ON SCHEMA holdfast_throttle TO PUBLIC;

-- Seconds to wait when one of the keys has reached its bound, and the most wrong tries counted under any of them.
CREATE FUNCTION holdfast_throttle.wait(p_keys text[], p_bounds integer[], p_now bigint, p_span bigint,
                                       OUT seconds bigint, OUT wrong integer)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    SELECT coalesce(max(f.since + p_span - p_now) FILTER (WHERE f.wrong >= k.bound), 0), coalesce(max(f.wrong), 0)
    INTO seconds, wrong
    FROM unnest(p_keys, p_bounds) AS k (key, bound)
    JOIN holdfast.tenant t ON t.schema_id = current_setting('role', true)
    JOIN holdfast.sign_in_failure f ON f.tenant_id = t.id AND f.key = k.key
    WHERE f.since + p_span > p_now;
END $$;

CREATE FUNCTION holdfast_throttle.failed(p_keys text[], p_now bigint, p_span bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF random() < 0.02 THEN
        DELETE FROM holdfast.sign_in_failure f WHERE f.since + p_span <= p_now;
    END IF;
    INSERT INTO holdfast.sign_in_failure AS f (tenant_id, key, since, wrong)
    SELECT t.id, k.key, p_now, 1 FROM holdfast.tenant t, (SELECT DISTINCT unnest(p_keys)) AS k (key)
    WHERE t.schema_id = current_setting('role', true) ORDER BY k.key
    ON CONFLICT (tenant_id, key) DO UPDATE SET
        wrong = CASE WHEN f.since + p_span <= p_now THEN 1 ELSE f.wrong + 1 END,
        since = CASE WHEN f.since + p_span <= p_now THEN p_now ELSE f.since END;
END $$;

CREATE FUNCTION holdfast_throttle.forget(p_key text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DELETE FROM holdfast.sign_in_failure f USING holdfast.tenant t
    WHERE t.schema_id = current_setting('role', true) AND f.tenant_id = t.id AND f.key = p_key;
END $$;
