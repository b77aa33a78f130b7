#!/usr/bin/env bash
# Runs rulestream as one of the identities that prepare.sh made, beside the services of deploy/compose.yaml.
#
#   deploy/compose/as.sh alice rule list
#   deploy/compose/as.sh checkout fact send - < facts.ndjson
#
# engineer means the platform engineer, who is one identity on each plane.
set -euo pipefail
deploy=$(dirname "$(dirname "$(realpath "$0")")")
name=${1:?usage: as.sh NAME COMMAND…}
data=$name control=$name
[ "$name" != engineer ] || { data=engineer-data control=engineer-control; }
exec docker compose --file "$deploy/compose.yaml" --progress quiet run --rm --no-deps --interactive --no-TTY \
    --env RULESTREAM_ACTOR="$name" \
    --env RULESTREAM_CONTROL_NATS_URL=tls://nats:4222 \
    --env RULESTREAM_NATS_NKEY_FILE="/keys/$data.nk" --env RULESTREAM_NATS_INBOX_PREFIX="_INBOX_$data" \
    --env RULESTREAM_CONTROL_NATS_NKEY_FILE="/keys/$control.nk" \
    --env RULESTREAM_CONTROL_NATS_INBOX_PREFIX="_INBOX_$control" \
    cli "${@:2}"
