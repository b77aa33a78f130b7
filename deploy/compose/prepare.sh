#!/usr/bin/env bash
# Makes what deploy/compose.yaml mounts from deploy/secrets: passwords, a certificate authority with NATS's certificate,
# and a key for each identity with the server's permissions. What is there stays; what follows from identities.toml is
# made again, so run it after each change of that file and after each upgrade.
#
#   deploy/compose/prepare.sh [--here] [--into DIR] [NAME=ROLE,…]…
#
# Programs run in the worker's image, so that nothing but an engine is needed; --here runs this machine's rulestream and
# openssl. The names are identities beside the worker's and the engineer's; who is there already stays as he is.
#
# A container sees these files with the owner and the mode that they have here, and runs as another user: so each file
# may be read by all, and the folder entered by its owner alone, past whom nobody else gets.
set -euo pipefail
deploy=$(dirname "$(dirname "$(realpath "$0")")")
folder=$deploy/secrets
here=no
identities=()
while [ $# -gt 0 ]; do
    case $1 in
        --here) here=yes ;;
        --into) folder=$2; shift ;;
        *=*) identities+=("$1") ;;
        *) echo "usage: prepare.sh [--here] [--into DIR] [NAME=ROLE,…]…" >&2; exit 2 ;;
    esac
    shift
done
umask 022
mkdir -p -m 700 "$folder"
chmod 700 "$folder"
cd "$folder"
mkdir -p nats

run() { # PROGRAM ARGUMENT…: in the folder of secrets
    if [ "$here" = yes ]; then "$@"; else
        docker run --rm --network none --read-only --tmpfs /tmp --cap-drop ALL --user "$(id -u):$(id -g)" \
            --volume "$folder:/secrets" --workdir /secrets --entrypoint "$1" "${WORKER_IMAGE:-rulestream:0.1.0}" "${@:2}"
    fi
}
password() { # FILE
    [ -s "$1" ] || head -c 24 /dev/urandom | base64 | tr '+/' '-_' | tr -d '\n' > "$1"
}
kept() { # FILE: what is piped in, unless it is there
    if [ -s "$1" ]; then cat > /dev/null; else cat > "$1"; fi
}
certificate() { # NAME SUBJECT ARGUMENT…: of a new key on P-256
    run openssl req -new -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 825 \
        -keyout "$1-key.pem" -out "$1.pem" -subj "$2" "${@:3}" 2> openssl.log || { cat openssl.log >&2; exit 1; }
    rm openssl.log
}

password postgres-password
password postgres-worker-password
password valkey-password
password grafana-password
printf 'postgresql://rulestream:%s@postgres:5432/rulestream' "$(cat postgres-worker-password)" | kept postgres-dsn
printf 'redis://:%s@valkey:6379/0' "$(cat valkey-password)" | kept redis-url
printf 'requirepass %s\nsave ""\nappendonly no\n' "$(cat valkey-password)" | kept valkey.conf

[ -s ca.pem ] || certificate ca '/CN=rulestream compose' -addext 'keyUsage=critical,keyCertSign,cRLSign'
if [ ! -s nats/server.pem ]; then
    certificate nats/server '/CN=nats' -CA ca.pem -CAkey ca-key.pem -addext 'basicConstraints=critical,CA:FALSE' \
        -addext 'subjectAltName=DNS:nats,DNS:localhost,IP:127.0.0.1' -addext 'extendedKeyUsage=serverAuth'
    chmod 644 nats/server-key.pem
fi
cp ca.pem nats/ca.pem

if [ ! -s identities/identities.toml ]; then
    [ ${#identities[@]} -gt 0 ] || identities=(alice=author bob=approver,operator checkout=publisher billing=subscriber)
    run rulestream nats-config init identities "${identities[@]/#/--identity=}"
fi
for identity in "${identities[@]}"; do
    name=${identity%%=*}
    if ! grep -q "^\[identities\.\"\?$name\"\?\]" identities/identities.toml; then
        key=$(run rulestream nats-config new-key "identities/keys/$name.nk")
        roles=$(sed 's/[^,]*/"&"/g; s/,/, /g' <<< "${identity#*=}")
        printf '\n[identities."%s"]\nroles = [%s]\nkeys = ["%s"]\n' "$name" "$roles" "$key" >> identities/identities.toml
    fi
done
run rulestream nats-config write identities/identities.toml --out nats
chmod 755 identities/keys
chmod 644 identities/keys/*.nk
cp "$deploy/nats/nats-server.conf" nats/nats-server.conf
echo "$folder is ready"
