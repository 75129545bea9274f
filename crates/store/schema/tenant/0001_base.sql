-- The tables of one tenant. Run with search_path set to the tenant's schema only.
-- Rules: bigint ids from the one sequence; a primary key on every table; few indexes (planning looks at each);
-- no reference across schemas; times in seconds since 1970 (*_ts) or nanoseconds (*_ns).

CREATE SEQUENCE id_seq AS bigint;

-- A person. Role: owner, admin, member, guest.
CREATE TABLE member (
    id            bigint PRIMARY KEY,
    username      text   NOT NULL CONSTRAINT member_username_key UNIQUE,
    role          text   NOT NULL CHECK (role IN ('owner', 'admin', 'member', 'guest')),
    archived      boolean NOT NULL DEFAULT false,
    email         text   NOT NULL DEFAULT '',
    display_name  text   NOT NULL DEFAULT '',
    avatar        text   NOT NULL DEFAULT '',
    description   text   NOT NULL DEFAULT '',
    password_hash text   NOT NULL DEFAULT '',
    created_ts    bigint NOT NULL,
    updated_ts    bigint NOT NULL
);

-- A note or a comment (a comment has parent_id). `card` is what a list shows beside the text (domain::note::Card).
CREATE TABLE note (
    id          bigint  PRIMARY KEY,
    uid         text    NOT NULL CONSTRAINT note_uid_key UNIQUE,
    creator_id  bigint  NOT NULL,
    parent_id   bigint,
    created_ts  bigint  NOT NULL,
    updated_ts  bigint  NOT NULL,
    archived    boolean NOT NULL DEFAULT false,
    pinned      boolean NOT NULL DEFAULT false,
    visibility  text    NOT NULL CHECK (visibility IN ('PRIVATE', 'PROTECTED', 'PUBLIC')),
    content     text    NOT NULL DEFAULT '',
    tags        text[]  NOT NULL DEFAULT '{}',
    snippet     text    NOT NULL DEFAULT '',
    title       text    NOT NULL DEFAULT '',
    has_link    boolean NOT NULL DEFAULT false,
    has_task_list boolean NOT NULL DEFAULT false,
    has_code    boolean NOT NULL DEFAULT false,
    has_incomplete_tasks boolean NOT NULL DEFAULT false,
    location    jsonb,
    card        jsonb   NOT NULL DEFAULT '{}'
);
-- No statement asks the planner how many notes a text or a tag lets through (feed_text): half of what looking at a sample of
-- the notes takes.
ALTER TABLE note ALTER content SET STATISTICS 0, ALTER tags SET STATISTICS 0, ALTER snippet SET STATISTICS 0,
    ALTER title SET STATISTICS 0, ALTER location SET STATISTICS 0, ALTER card SET STATISTICS 0;
CREATE INDEX note_feed_idx ON note (created_ts DESC, id DESC) WHERE parent_id IS NULL AND NOT archived;
CREATE INDEX note_pinned_idx ON note (created_ts DESC, id DESC) WHERE pinned AND parent_id IS NULL AND NOT archived;
CREATE INDEX note_creator_idx ON note (creator_id, created_ts DESC, id DESC);
CREATE INDEX note_parent_idx ON note (parent_id, id DESC) WHERE parent_id IS NOT NULL;

-- By which tags a note is found, in the order of lists: its tags in lower case (ASCII letters only, as filters compare them)
-- and those above them, cut at 100 letters. Triggers of `note` keep it in step; it follows from the notes, so points leave
-- it out and a load makes it anew.
CREATE TABLE note_tag (
    key        varchar(100) COLLATE "C" NOT NULL,
    created_ts bigint NOT NULL,
    note_id    bigint NOT NULL,
    PRIMARY KEY (key, created_ts, note_id)
);

-- What the text of a note may contain (domain::sketch), in the order of lists; NULL where that is not known. Kept only where
-- there are many notes: a worker (sketches.rs) makes the triggers that keep it in step, then the rows, then one at the
-- earliest time there is, without which no list asks for them. A row may be left over of a note that is gone; a note without
-- a row there must not be. It follows from the notes, so points leave it out and a load leaves it empty.
CREATE TABLE note_sketch (
    created_ts bigint NOT NULL,
    note_id    bigint NOT NULL,
    sketch     bytea  CHECK (octet_length(sketch) = 128),
    PRIMARY KEY (created_ts, note_id) INCLUDE (sketch)
);
ALTER TABLE note_sketch ALTER sketch SET STORAGE PLAIN, ALTER sketch SET STATISTICS 0;
CREATE INDEX note_sketch_unknown_idx ON note_sketch (note_id) WHERE sketch IS NULL;

-- REFERENCE: the author linked it. COMMENT: note_id comments on related_id.
CREATE TABLE note_relation (
    note_id    bigint NOT NULL,
    related_id bigint NOT NULL,
    kind       text   NOT NULL CHECK (kind IN ('REFERENCE', 'COMMENT')),
    PRIMARY KEY (note_id, related_id, kind)
);
CREATE INDEX note_relation_related_idx ON note_relation (related_id);

-- A file. Its bytes are in the file store under storage_key; sha256 is of the bytes (hex); a file elsewhere has
-- external_link and neither. position: order on its note. payload: motionMedia, mediaMetadata as in the wire message.
CREATE TABLE attachment (
    id            bigint PRIMARY KEY,
    uid           text   NOT NULL CONSTRAINT attachment_uid_key UNIQUE,
    creator_id    bigint NOT NULL,
    note_id       bigint,
    position      integer NOT NULL DEFAULT 0,
    created_ts    bigint NOT NULL,
    updated_ts    bigint NOT NULL,
    filename      text   NOT NULL DEFAULT '',
    kind          text   NOT NULL DEFAULT '',
    size          bigint NOT NULL DEFAULT 0,
    sha256        text   NOT NULL DEFAULT '',
    storage_key   text   NOT NULL DEFAULT '',
    external_link text   NOT NULL DEFAULT '',
    payload       jsonb  NOT NULL DEFAULT '{}'
);
CREATE INDEX attachment_note_idx ON attachment (note_id) WHERE note_id IS NOT NULL;
CREATE INDEX attachment_creator_idx ON attachment (creator_id, updated_ts DESC);

CREATE TABLE reaction (
    id         bigint PRIMARY KEY,
    note_id    bigint NOT NULL,
    creator_id bigint NOT NULL,
    reaction   text   NOT NULL,
    created_ts bigint NOT NULL,
    CONSTRAINT reaction_once_key UNIQUE (note_id, creator_id, reaction)
);

-- A link that shows one note to whoever holds the token.
CREATE TABLE note_share (
    id         bigint PRIMARY KEY,
    token      text   NOT NULL CONSTRAINT note_share_token_key UNIQUE,
    note_id    bigint NOT NULL,
    creator_id bigint NOT NULL,
    created_ts bigint NOT NULL,
    expires_ts bigint
);

-- Keys: GENERAL, TAGS, WEBHOOKS, SHORTCUTS; value is the wire message's JSON without the secrets' wrapping.
CREATE TABLE member_setting (
    member_id bigint NOT NULL,
    key       text   NOT NULL,
    value     jsonb  NOT NULL,
    PRIMARY KEY (member_id, key)
);

-- Keys: GENERAL, MEMO_RELATED, TAGS, STORAGE, NOTIFICATION, AI, BASIC (holds the signing secret; never shown).
CREATE TABLE setting (
    key   text  PRIMARY KEY,
    value jsonb NOT NULL
);

-- Personal access tokens: only the SHA-256 (hex) of the token is kept. token_id is the public id.
CREATE TABLE access_token (
    token_id     text   PRIMARY KEY,
    member_id    bigint NOT NULL,
    token_hash   text   NOT NULL CONSTRAINT access_token_hash_key UNIQUE,
    description  text   NOT NULL DEFAULT '',
    created_ns   bigint NOT NULL,
    expires_ns   bigint,
    last_used_ns bigint,
    scope        text   NOT NULL DEFAULT 'admin' CHECK (scope IN ('read', 'write', 'admin'))
);

-- A sign-in: the id inside the refresh token and the hash (hex) of its newest secret and of the one before (empty: signed
-- out, only its last access token still lives). One made through an identity
-- provider names it, the provider's own session (for its logout messages) and the ID token (a hint when signing out there).
CREATE TABLE session (
    session_id   text   PRIMARY KEY,
    member_id    bigint NOT NULL,
    token_hash   text   NOT NULL,
    user_agent   text   NOT NULL DEFAULT '',
    address      text   NOT NULL DEFAULT '',
    created_ns   bigint NOT NULL,
    expires_ns   bigint NOT NULL,
    last_used_ns bigint NOT NULL,
    previous_hash    text NOT NULL DEFAULT '',
    provider         text NOT NULL DEFAULT '',
    provider_session text NOT NULL DEFAULT '',
    id_token         text NOT NULL DEFAULT ''
);
CREATE INDEX session_member_idx ON session (member_id);

-- kind: OAUTH2, OIDC, LDAP. config: the provider's settings, for OAUTH2 as Memos keeps them (clientId, clientSecret, …).
CREATE TABLE identity_provider (
    id                bigint PRIMARY KEY,
    uid               text   NOT NULL CONSTRAINT identity_provider_uid_key UNIQUE,
    name              text   NOT NULL DEFAULT '',
    kind              text   NOT NULL DEFAULT 'OAUTH2',
    identifier_filter text   NOT NULL DEFAULT '',
    config            jsonb  NOT NULL DEFAULT '{}'
);

-- A member's account elsewhere. issuer: who vouches for extern_uid (an OIDC issuer, a directory; empty for OAUTH2), so
-- that a provider which is led elsewhere opens no old account. rights: what the last sign-in told (groups, role, why).
CREATE TABLE member_identity (
    id         bigint PRIMARY KEY,
    member_id  bigint NOT NULL,
    provider   text   NOT NULL,
    extern_uid text   NOT NULL,
    created_ts bigint NOT NULL,
    updated_ts bigint NOT NULL,
    issuer     text   NOT NULL DEFAULT '',
    rights     jsonb  NOT NULL DEFAULT '{}',
    CONSTRAINT member_identity_extern_key UNIQUE (provider, issuer, extern_uid),
    CONSTRAINT member_identity_member_key UNIQUE (member_id, provider)
);

-- The second factor of a local account. last_step: the newest time step whose code was taken; recovery: hashes (hex) of
-- the codes that are left.
CREATE TABLE member_totp (
    member_id    bigint PRIMARY KEY,
    secret       text   NOT NULL,
    confirmed_ts bigint,
    last_step    bigint NOT NULL DEFAULT 0,
    recovery     jsonb  NOT NULL DEFAULT '[]'
);

-- Who may come by an address that a provider has verified: as a new member, or as the member named.
CREATE TABLE invitation (
    id         bigint PRIMARY KEY,
    email      text   NOT NULL CONSTRAINT invitation_email_key UNIQUE,
    role       text   NOT NULL CHECK (role IN ('admin', 'member', 'guest')),
    member_id  bigint,
    created_ts bigint NOT NULL,
    expires_ts bigint NOT NULL,
    invited_by text   NOT NULL
);

-- kind: MEMO_COMMENT, MEMO_MENTION. note_id: the comment or the mentioning note; related_id: the parent.
CREATE TABLE notification (
    id          bigint PRIMARY KEY,
    created_ts  bigint NOT NULL,
    sender_id   bigint NOT NULL,
    receiver_id bigint NOT NULL,
    archived    boolean NOT NULL DEFAULT false,
    kind        text   NOT NULL,
    note_id     bigint,
    related_id  bigint
);
CREATE INDEX notification_receiver_idx ON notification (receiver_id, id DESC);

-- What a webhook is told, and what came of it: one row per event and webhook. The receiver knows it by message_id on every
-- try. snapshot: the note's row as it was. state: waiting, delivered, failed (given up).
CREATE TABLE webhook_delivery (
    id         bigint PRIMARY KEY,
    message_id text   NOT NULL,
    member_id  bigint NOT NULL,
    webhook_id text   NOT NULL,
    note_id    bigint NOT NULL,
    activity   text   NOT NULL,
    creator    text   NOT NULL,
    snapshot   jsonb  NOT NULL,
    state      text   NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'delivered', 'failed')),
    attempts   integer NOT NULL DEFAULT 0,
    busy_until bigint NOT NULL DEFAULT 0,
    status     integer,
    error      text,
    created_ts bigint NOT NULL,
    ended_ts   bigint
);
CREATE INDEX webhook_delivery_waiting_idx ON webhook_delivery (webhook_id, note_id, id) WHERE state = 'waiting';

-- What an import found and no other table holds: kept so that nothing is lost (original rows as JSON).
CREATE TABLE import_remainder (
    id      bigint PRIMARY KEY,
    source  text   NOT NULL,
    row_key text   NOT NULL,
    value   jsonb  NOT NULL
);

-- What an import brought, so that catching up can tell a change at the source from one made here: per table, packed
-- 16-byte pairs of hashes, of a row's key and of the row.
CREATE TABLE import_base (
    name   text    NOT NULL,
    part   integer NOT NULL,
    hashes bytea   NOT NULL,
    PRIMARY KEY (name, part)
);

-- Which changes are in no point yet. A writer marks the present generation once; a snapshot raises the generation.
CREATE TABLE point_state (
    only_one   boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    generation bigint  NOT NULL DEFAULT 1
);
INSERT INTO point_state DEFAULT VALUES;
CREATE TABLE change_mark (
    generation bigint PRIMARY KEY,
    since      timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- What every change calls. Names are written out with this schema's, since a hot statement has no search_path. In PL/pgSQL each
-- statement sees what was committed when it begins, also inside of one that began before.
DO $make$ BEGIN
-- Queues an event about a note, as it is now, for the webhooks of a member.
EXECUTE format($f$
CREATE FUNCTION %1$I.queue_event(p_note bigint, p_member bigint, p_activity text, p_now bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_asked bigint;
BEGIN
    WITH told AS (
        INSERT INTO %1$I.webhook_delivery
            (id, message_id, member_id, webhook_id, note_id, activity, creator, snapshot, created_ts)
        SELECT nextval('%1$I.id_seq'), 'msg_' || gen_random_uuid(), hooks.member_id, hook->>'id', n.id, p_activity,
               coalesce(author.username, ''), to_jsonb(n), p_now
        FROM %1$I.note n
        JOIN %1$I.member_setting hooks ON hooks.member_id = p_member AND hooks.key = 'WEBHOOKS'
        LEFT JOIN %1$I.member author ON author.id = n.creator_id
        CROSS JOIN LATERAL jsonb_array_elements(CASE jsonb_typeof(hooks.value->'webhooks')
            WHEN 'array' THEN hooks.value->'webhooks' ELSE '[]' END) hook
        WHERE n.id = p_note AND hook->>'id' IS NOT NULL
        RETURNING id)
    SELECT count(holdfast_outgoing.ask('webhook', told.id)) INTO v_asked FROM told;
END $$ $f$, current_schema());

-- All that goes with a plain new note, for the statement that inserts it: the writer's lock, the mark of a change, its
-- author's webhooks. The lock may come after the row: a snapshot that opens meanwhile does not see the row, which is not
-- committed, and the mark is made after the lock, so it is of the generation behind that snapshot.
EXECUTE format($f$
CREATE FUNCTION %1$I.note_made(p_lock bigint, p_note bigint, p_member bigint, p_now bigint) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    v_marked boolean;
    v_hooked boolean;
BEGIN
    IF pg_advisory_xact_lock_shared(p_lock) IS NULL THEN
        RETURN NULL; -- never: the lock is waited for, and asking in this way is the cheapest
    END IF;
    SELECT EXISTS (SELECT FROM %1$I.change_mark m JOIN %1$I.point_state p ON p.generation = m.generation),
           EXISTS (SELECT FROM %1$I.member_setting WHERE member_id = p_member AND key = 'WEBHOOKS')
        INTO v_marked, v_hooked;
    IF NOT v_marked THEN
        INSERT INTO %1$I.change_mark (generation) SELECT generation FROM %1$I.point_state ON CONFLICT DO NOTHING;
    END IF;
    IF v_hooked THEN
        PERFORM %1$I.queue_event(p_note, p_member, 'memos.memo.created', p_now);
    END IF;
    RETURN p_note;
END $$ $f$, current_schema());

-- Keeps `note_tag` in step with a note, whoever writes it.
EXECUTE format($f$
CREATE FUNCTION %1$I.note_tagged() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        DELETE FROM %1$I.note_tag t WHERE t.key = ANY (holdfast_search.tag_keys(OLD.tags))
            AND t.created_ts = OLD.created_ts AND t.note_id = OLD.id;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO %1$I.note_tag (key, created_ts, note_id)
            SELECT k, NEW.created_ts, NEW.id FROM unnest(holdfast_search.tag_keys(NEW.tags)) k ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END $$ $f$, current_schema());

-- Makes a note's sketch unknown. The row is written even where it was unknown: by its version a worker that has read the text
-- before sees that it must not store what it made of it.
EXECUTE format($f$
CREATE FUNCTION %1$I.note_sketched() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR (TG_OP = 'UPDATE' AND (OLD.created_ts, OLD.id) IS DISTINCT FROM (NEW.created_ts, NEW.id)) THEN
        DELETE FROM %1$I.note_sketch k WHERE k.created_ts = OLD.created_ts AND k.note_id = OLD.id;
    END IF;
    IF TG_OP <> 'DELETE' AND NEW.parent_id IS NULL THEN
        INSERT INTO %1$I.note_sketch (created_ts, note_id) VALUES (NEW.created_ts, NEW.id)
            ON CONFLICT (created_ts, note_id) DO UPDATE SET sketch = NULL;
    END IF;
    RETURN NULL;
END $$ $f$, current_schema());
END $make$;

CREATE TRIGGER note_tagged AFTER INSERT ON note FOR EACH ROW WHEN (NEW.tags <> '{}') EXECUTE FUNCTION note_tagged();
CREATE TRIGGER note_retagged AFTER UPDATE OF tags, created_ts, id ON note FOR EACH ROW
    WHEN ((OLD.tags, OLD.created_ts, OLD.id) IS DISTINCT FROM (NEW.tags, NEW.created_ts, NEW.id)) EXECUTE FUNCTION note_tagged();
CREATE TRIGGER note_untagged AFTER DELETE ON note FOR EACH ROW WHEN (OLD.tags <> '{}') EXECUTE FUNCTION note_tagged();

-- What must stay so after a restore goes into the ledger of the control plane.
CREATE TRIGGER access_token_removed AFTER DELETE ON access_token FOR EACH ROW EXECUTE FUNCTION holdfast_audit.note_removal();
CREATE TRIGGER member_removed AFTER DELETE ON member FOR EACH ROW EXECUTE FUNCTION holdfast_audit.note_removal();
CREATE TRIGGER member_archived AFTER UPDATE OF archived ON member FOR EACH ROW
    WHEN (OLD.archived IS DISTINCT FROM NEW.archived) EXECUTE FUNCTION holdfast_audit.note_removal();
-- At the end of the transaction: a link that went with its note may come back with it, one that was revoked must not.
CREATE CONSTRAINT TRIGGER share_removed AFTER DELETE ON note_share DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION holdfast_audit.note_removal();
