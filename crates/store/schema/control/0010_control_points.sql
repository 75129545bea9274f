-- What a restore of the whole appliance and the purge of keys keep in mind.

-- Tenants that a control point knows and that are being restored, each with its row of the registry as it was. A restore
-- that was interrupted goes on with those that have not come back.
CREATE TABLE tenant_return (
    id      uuid   PRIMARY KEY,
    slug    text   NOT NULL,
    facts   jsonb  NOT NULL,
    point   text,
    seconds double precision,
    done_at timestamptz,
    problem text
);

-- When the keys of a deleted tenant were purged, and the signed certificate that says so.
ALTER TABLE tenant_deletion ADD COLUMN purged_at timestamptz;
ALTER TABLE tenant_deletion ADD COLUMN certificate text;

-- Points are pruned by a schedule where somebody sets one.
ALTER TABLE schedule DROP CONSTRAINT schedule_kind_check;
ALTER TABLE schedule ADD CONSTRAINT schedule_kind_check CHECK (kind IN ('backup', 'drill', 'dump', 'prune'));

-- Points in further stores: when each was read back there, and what was wrong.
CREATE TABLE point_copy (
    point       text NOT NULL,
    store       text NOT NULL,
    verified_at timestamptz NOT NULL,
    problems    jsonb,
    PRIMARY KEY (point, store)
);

-- Schema steps of tenants: which point each had before, so that it can be brought back.
CREATE TABLE tenant_step (
    seq          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id    uuid    NOT NULL,
    from_version integer NOT NULL,
    to_version   integer NOT NULL,
    point        text    NOT NULL,
    at           timestamptz NOT NULL DEFAULT now(),
    problem      text
);
CREATE INDEX tenant_step_tenant_idx ON tenant_step (tenant_id, seq DESC);

-- Points in the making: nothing of their tenants is swept meanwhile. A row that a killed process left counts for two days.
CREATE TABLE point_running (
    point      text PRIMARY KEY,
    tenant_id  uuid NOT NULL,
    started_at timestamptz NOT NULL
);
