#!/bin/sh
# Runs once, when Postgres's data is made: the worker's role, which owns its database and is no superuser.
set -eu
password=$(cat /run/secrets/postgres-worker-password)
psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 --set password="$password" --dbname postgres <<'SQL'
CREATE ROLE rulestream LOGIN PASSWORD :'password';
GRANT pg_monitor TO rulestream;
CREATE DATABASE rulestream OWNER rulestream;
SQL
