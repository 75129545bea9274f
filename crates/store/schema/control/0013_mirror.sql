-- Live Markdown mirrors: which tenants have one, where, and how far it is. schema_id and generation: what the mirror shows;
-- clean: the last run came to its end, so that nothing lies there that `mirror_entry` does not know.
CREATE TABLE mirror (
    tenant_id   uuid    PRIMARY KEY,
    slug        text    NOT NULL,
    place       text    NOT NULL CONSTRAINT mirror_place_key UNIQUE,
    created_at  timestamptz NOT NULL DEFAULT now(),
    schema_id   text    NOT NULL DEFAULT '',
    generation  bigint  NOT NULL DEFAULT 0,
    clean       boolean NOT NULL DEFAULT false,
    mirrored_at timestamptz,
    full_at     timestamptz,
    notes       bigint  NOT NULL DEFAULT 0,
    files       bigint  NOT NULL DEFAULT 0,
    seconds     double precision NOT NULL DEFAULT 0,
    problem     text,
    holder      text,
    held_until  timestamptz
);

-- What lies in a mirror: a file for each note and each attachment, and which version of the row it shows.
CREATE TABLE mirror_entry (
    tenant_id uuid   NOT NULL,
    kind      text   NOT NULL CHECK (kind IN ('note', 'file')),
    id        bigint NOT NULL,
    version   text   NOT NULL,
    path      text   NOT NULL,
    bytes     bigint NOT NULL,
    PRIMARY KEY (tenant_id, kind, id)
);
