-- Which releases workers have decided facts with, and when such a worker started first and last: a decision does not say
-- which one made it, and one that comes out otherwise today may have been made by another. One row a release.
CREATE TABLE release (
    version          text        NOT NULL,
    code             text        NOT NULL,
    libraries        text        NOT NULL,
    first_started_at timestamptz NOT NULL,
    last_started_at  timestamptz NOT NULL,
    PRIMARY KEY (version, code, libraries)
);
