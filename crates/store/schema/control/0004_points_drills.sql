-- Restore points, drills and dumps: what was done and what it proved. The points themselves are in the backup store;
-- these rows are the appliance's memory of them, and its half of the append-only log of point hashes.

-- Which age keys a tenant has had. The keys themselves lie wrapped in the backup store, never here.
CREATE TABLE tenant_key (
    tenant_id   uuid   NOT NULL,
    key_id      text   NOT NULL,
    wrapped     jsonb  NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, key_id)
);

-- state: complete, verified, proven, damaged. Order comes from seq, never from a name.
CREATE TABLE point (
    seq             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    point           text   NOT NULL CONSTRAINT point_name_key UNIQUE,
    tenant_id       uuid   NOT NULL,
    slug            text   NOT NULL,
    created_at      timestamptz NOT NULL,
    snapshot_at     timestamptz NOT NULL,
    generation      bigint NOT NULL,
    schema_version  integer NOT NULL,
    trigger         text   NOT NULL,
    state           text   NOT NULL CHECK (state IN ('complete', 'verified', 'proven', 'damaged')),
    previous        text,
    manifest_sha256 text   NOT NULL,
    manifest_bytes  bigint NOT NULL,
    rows            bigint NOT NULL,
    notes           bigint NOT NULL,
    files           bigint NOT NULL,
    bytes_plain     bigint NOT NULL,
    bytes_stored    bigint NOT NULL,
    bytes_sent      bigint NOT NULL,
    requests        bigint NOT NULL,
    has_markdown    boolean NOT NULL,
    seconds         double precision NOT NULL,
    verified_at     timestamptz,
    proven_at       timestamptz,
    problems        jsonb,
    kept_until      timestamptz,
    kept_reason     text
);
CREATE INDEX point_tenant_idx ON point (tenant_id, seq DESC);

-- Each report holds the hash of the one before it; the text is kept as it was hashed.
CREATE TABLE drill (
    seq           bigint PRIMARY KEY,
    drill         text   NOT NULL CONSTRAINT drill_name_key UNIQUE,
    tenant_id     uuid   NOT NULL,
    slug          text   NOT NULL,
    point         text   NOT NULL,
    started_at    timestamptz NOT NULL,
    finished_at   timestamptz NOT NULL,
    verdict       text   NOT NULL CHECK (verdict IN ('pass', 'fail', 'incomplete')),
    notes         bigint NOT NULL,
    rpo_seconds   double precision,
    rto_seconds   double precision,
    report        text   NOT NULL,
    previous_hash text   NOT NULL,
    hash          text   NOT NULL
);
CREATE INDEX drill_tenant_idx ON drill (tenant_id, seq DESC);

CREATE TABLE dump (
    dump           text PRIMARY KEY,
    database       text NOT NULL,
    created_at     timestamptz NOT NULL,
    key            text NOT NULL,
    bytes          bigint NOT NULL,
    sha256_stored  text NOT NULL,
    seconds        double precision NOT NULL
);
