-- People who run the appliance. No member of any tenant is ever one of them.
CREATE TABLE operator (
    name          text PRIMARY KEY,
    password_hash text NOT NULL,
    disabled      boolean NOT NULL DEFAULT false,
    created_at    timestamptz NOT NULL DEFAULT now()
);

-- Their sign-ins: only the SHA-256 (hex) of the cookie's secret is kept.
CREATE TABLE operator_session (
    token_hash text PRIMARY KEY,
    operator   text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
CREATE INDEX operator_session_operator_idx ON operator_session (operator);
