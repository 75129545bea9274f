-- By what the index of tags finds a note: each of its tags in lower case (ASCII letters only, as filters compare them), and
-- each tag above it behind a line end (`travel` of `travel/japan`), which no tag contains. One function for all tenants,
-- because an index must not depend on the schema that a tenant happens to be in.
CREATE SCHEMA IF NOT EXISTS holdfast_search;
GRANT USAGE ON SCHEMA holdfast_search TO PUBLIC;
CREATE FUNCTION holdfast_search.tag_keys(p_tags text[]) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 1000 SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_keys text[] := '{}';
    v_tag text;
    v_at integer;
BEGIN
    FOREACH v_tag IN ARRAY p_tags LOOP
        v_tag := lower(v_tag COLLATE "C");
        v_keys := v_keys || v_tag;
        v_at := 0;
        WHILE strpos(substr(v_tag, v_at + 1), '/') > 0 LOOP
            v_at := v_at + strpos(substr(v_tag, v_at + 1), '/');
            v_keys := v_keys || (E'\n' || left(v_tag, v_at - 1));
        END LOOP;
    END LOOP;
    RETURN v_keys;
END $$;
