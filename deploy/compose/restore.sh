#!/usr/bin/env bash
# Puts what backup.sh copied into new volumes of deploy/compose.yaml, and starts no worker: look with `rulestream doctor`
# first. It never writes over data: `docker compose down --volumes` removes what is there.
#
#   deploy/compose/restore.sh DIR
set -euo pipefail
folder=${1:?usage: restore.sh DIR}
compose=(docker compose --progress quiet --file "$(dirname "$(dirname "$(realpath "$0")")")/compose.yaml")
(cd "$folder" && sha256sum --check --quiet SHA256SUMS)
for volume in rulestream_nats rulestream_postgres; do
    if docker volume inspect "$volume" > /dev/null 2>&1; then
        echo "the volume $volume is there: nothing was changed" >&2
        exit 1
    fi
done

"${compose[@]}" up --no-start --no-deps nats
"${compose[@]}" cp - nats:/data < "$folder/streams.tar"
"${compose[@]}" up --detach --wait nats postgres valkey
"${compose[@]}" exec -T postgres pg_restore --username=postgres --dbname=rulestream --exit-on-error < "$folder/database.dump"
echo "streams and database of $folder are back; no worker runs yet"
