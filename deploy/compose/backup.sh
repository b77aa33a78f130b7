#!/usr/bin/env bash
# Copies the streams and then the database of deploy/compose.yaml into a new folder: in this order, for a database that is
# newer than the streams is what a restore needs (docs/operations.md says why). NATS stands still while its files are
# copied: publishers try again and workers wait. Keys and passwords, deploy/secrets, are not in it: keep those elsewhere.
#
#   deploy/compose/backup.sh DIR
set -euo pipefail
folder=${1:?usage: backup.sh DIR}
compose=(docker compose --progress quiet --file "$(dirname "$(dirname "$(realpath "$0")")")/compose.yaml")
mkdir -m 700 "$folder"
start_nats() { "${compose[@]}" up --detach --wait --no-deps --no-recreate nats; }

trap start_nats EXIT
SECONDS=0
"${compose[@]}" stop nats
"${compose[@]}" cp nats:/data/. - > "$folder/streams.tar"
trap - EXIT
start_nats
echo "streams: $(stat -c %s "$folder/streams.tar") bytes; NATS was away for less than ${SECONDS} s"

"${compose[@]}" exec -T postgres pg_dump --username=postgres --format=custom rulestream > "$folder/database.dump"
echo "database: $(stat -c %s "$folder/database.dump") bytes"
(cd "$folder" && sha256sum streams.tar database.dump > SHA256SUMS)
