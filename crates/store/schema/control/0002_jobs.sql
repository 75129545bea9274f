-- Work to be done and when it is due. A worker holds a job by a lease it renews; a lease that ran out is taken over.
CREATE TABLE job (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind         text    NOT NULL,
    tenant_id    uuid,
    payload      jsonb   NOT NULL,
    once_key     text,
    state        text    NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running', 'done', 'failed')),
    run_at       timestamptz NOT NULL DEFAULT now(),
    attempts     integer NOT NULL DEFAULT 0,
    max_attempts integer NOT NULL DEFAULT 3,
    worker       text,
    lease_until  timestamptz,
    progress     jsonb,
    result       jsonb,
    error        text,
    created_at   timestamptz NOT NULL DEFAULT now(),
    finished_at  timestamptz
);
CREATE INDEX job_due_idx ON job (run_at, id) WHERE state IN ('queued', 'running');
CREATE UNIQUE INDEX job_once_key ON job (once_key) WHERE once_key IS NOT NULL AND state IN ('queued', 'running');

-- cron: six fields, seconds first, UTC. tenant_id NULL means every tenant.
CREATE TABLE schedule (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind       text    NOT NULL CHECK (kind IN ('backup', 'drill', 'dump')),
    tenant_id  uuid,
    cron       text    NOT NULL,
    paused     boolean NOT NULL DEFAULT false,
    next_at    timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX schedule_of_key ON schedule (kind, coalesce(tenant_id, '00000000-0000-0000-0000-000000000000'::uuid));

-- Every due time once. outcome: enqueued, caught_up (due while no worker ran), missed (a later one stands for it).
CREATE TABLE schedule_run (
    schedule_id bigint NOT NULL,
    due_at      timestamptz NOT NULL,
    outcome     text   NOT NULL CHECK (outcome IN ('enqueued', 'caught_up', 'missed')),
    job_id      bigint,
    noted_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (schedule_id, due_at)
);
