#!/bin/sh
# Does what the official image's entrypoint does and deploy/compose.yaml relies on: makes the data at the first start,
# with the superuser's password from a file, and runs the scripts of /docker-entrypoint-initdb.d on it.
set -eu
user=${POSTGRES_USER:-postgres}
if [ "${1:-}" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
    mkdir -p "$PGDATA"
    chmod 700 "$PGDATA"
    password=${POSTGRES_PASSWORD_FILE:-/tmp/postgres-password}
    [ -n "${POSTGRES_PASSWORD_FILE:-}" ] || printf %s "$POSTGRES_PASSWORD" > "$password"
    # shellcheck disable=SC2086
    initdb --username="$user" --pwfile="$password" --auth-host=scram-sha-256 --auth-local=trust \
        ${POSTGRES_INITDB_ARGS:-} > /dev/null
    echo 'host all all all scram-sha-256' >> "$PGDATA/pg_hba.conf"
    echo "listen_addresses = '*'" >> "$PGDATA/postgresql.conf"
    echo "unix_socket_directories = '/var/run/postgresql, /tmp'" >> "$PGDATA/postgresql.conf"
    pg_ctl --wait --silent -o "-c listen_addresses=''" start > /dev/null
    export PGHOST=/var/run/postgresql PGUSER="$user"
    [ "${POSTGRES_DB:-postgres}" = postgres ] || createdb --maintenance-db postgres "$POSTGRES_DB"
    for script in /docker-entrypoint-initdb.d/*; do
        case $script in
            *.sh) echo "$0: running $script"; if [ -x "$script" ]; then "$script"; else . "$script"; fi ;;
            *.sql) echo "$0: running $script"; psql --quiet --set ON_ERROR_STOP=1 --dbname postgres --file "$script" ;;
        esac
    done
    unset PGHOST PGUSER
    pg_ctl --wait --silent --mode fast stop > /dev/null
fi
exec "$@"
