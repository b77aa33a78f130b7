-- name: record_start
-- A worker of a release starts to decide facts. The start is now: earlier than any decision of the worker.
INSERT INTO release (version, code, libraries, first_started_at, last_started_at)
VALUES ($1::text, $2::text, $3::text, now(), now())
ON CONFLICT (version, code, libraries) DO UPDATE SET last_started_at = greatest(release.last_started_at, now());

-- name: releases
-- Every release that has decided facts, in the order in which they came.
SELECT version, code, libraries, first_started_at, last_started_at
  FROM release
 ORDER BY first_started_at, version, code, libraries;
