# One image for every node and for the tools: the binary `einvoice` on Debian.
#
#   docker build -t einvoice:local .                     builds the binary in a container
#   docker build -t einvoice:local --target prebuilt .   takes target/release/einvoice, built on this machine before
#
# A node's container has everything of its own in the volume /node: node.toml, genesis.json, keys, the certificate of its
# door, and the store. The rest of the file system may be read-only but for /tmp.

FROM debian:trixie-slim AS base
# The number is fixed: files in volumes and backups keep their owner from image to image. A volume takes over the owner and
# mode of the directory it is mounted on for the first time; those in /consortium are for the ceremony of docker-compose.yml,
# which fills the volumes of others.
RUN groupadd --gid 10001 einvoice \
 && useradd --uid 10001 --gid einvoice --home-dir /node --no-create-home --no-log-init --shell /usr/sbin/nologin einvoice \
 && install -d -o einvoice -g einvoice -m 0700 /node /consortium \
    /consortium/tax-bureau /consortium/police /consortium/customs /consortium/central-bank /consortium/observer \
    /consortium/members
USER 10001:10001
WORKDIR /node
ENV EINVOICE_HTTP_LISTEN=0.0.0.0:8443 \
    EINVOICE_HTTP_TLS_CERTIFICATE=/node/tls/certificate.pem \
    EINVOICE_HTTP_TLS_KEY=/node/tls/key.pem \
    EINVOICE_GRPC_LISTEN=0.0.0.0:9443 \
    EINVOICE_GRPC_TLS_CERTIFICATE=/node/tls/certificate.pem \
    EINVOICE_GRPC_TLS_KEY=/node/tls/key.pem
EXPOSE 8443 9443 7101
# Not only alive: caught up, in reach of a quorum, and with room on the disk. For a certificate that is not self-signed or
# does not name localhost, say in --url and --ca what it can be verified with.
HEALTHCHECK --interval=10s --timeout=10s --start-period=60s --retries=3 \
  CMD ["einvoice", "status", "--ready", "--url", "https://localhost:8443", "--ca", "/node/tls/certificate.pem"]
# As process 1, without a shell or an init between: it handles SIGTERM and SIGINT itself and starts no processes.
STOPSIGNAL SIGTERM
ENTRYPOINT ["einvoice"]
CMD ["start", "--config", "/node/node.toml"]

# It must not ask for a newer C library than the base has. The brackets let the binary be missing: builders without BuildKit
# go through this stage also when another is asked for.
FROM base AS prebuilt
COPY --chown=10001:10001 config/consortium.sh target/release/einvoic[e] /usr/local/bin/

FROM rust:1.95-slim-trixie AS build
WORKDIR /src
# One by one: neither the ceremony nor a binary of this machine is a reason to build everything again.
COPY Cargo.toml Cargo.lock ./
COPY .cargo .cargo
COPY benches benches
COPY config/node.toml config/
COPY crates crates
COPY proto proto
COPY tests tests
# Without the line tables, which are five sixths of the file; backtraces still name functions.
RUN cargo build --release --locked \
 && strip --strip-debug target/release/einvoice \
 && install -D -m 0755 target/release/einvoice /out/einvoice \
 && rm -rf target

FROM base AS runtime
COPY --chown=10001:10001 config/consortium.sh /usr/local/bin/
COPY --from=build /out/einvoice /usr/local/bin/einvoice
