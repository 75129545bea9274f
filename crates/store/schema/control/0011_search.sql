-- By what a note is found in the table `note_tag` of its tenant: each of its tags in lower case (ASCII letters only, as filters
-- compare them) and each tag above it (`travel` of `travel/japan`), once, cut at 100 letters. One function for all tenants.
CREATE SCHEMA IF NOT EXISTS holdfast_search;
GRANT USAGE ON SCHEMA holdfast_search TO PUBLIC;
CREATE FUNCTION holdfast_search.tag_keys(p_tags text[]) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 1000 AS $$
DECLARE
    v_keys text[] := '{}';
    v_key text;
BEGIN
    FOREACH v_key IN ARRAY p_tags LOOP
        v_key := left(lower(v_key COLLATE "C"), 100);
        LOOP
            EXIT WHEN v_key IS NULL;
            IF v_key <> ALL (v_keys) THEN
                v_keys := array_append(v_keys, v_key);
            END IF;
            EXIT WHEN strpos(v_key, '/') = 0;
            v_key := left(v_key, length(v_key) - strpos(reverse(v_key), '/'));
        END LOOP;
    END LOOP;
    RETURN v_keys;
END $$;
