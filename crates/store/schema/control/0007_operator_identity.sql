-- When an operator last showed who he is: dangerous deeds ask again some minutes later. And whether he came by the
-- operators' provider.
ALTER TABLE operator_session ADD COLUMN proved_at timestamptz NOT NULL DEFAULT now();
ALTER TABLE operator_session ADD COLUMN by_provider boolean NOT NULL DEFAULT false;

-- Accounts at the operators' OpenID provider, known by who vouches for them and their id there; never by a name.
CREATE TABLE operator_identity (
    issuer     text NOT NULL,
    subject    text NOT NULL,
    operator   text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (issuer, subject)
);
CREATE INDEX operator_identity_operator_idx ON operator_identity (operator);
