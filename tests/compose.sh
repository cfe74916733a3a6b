#!/usr/bin/env bash
# The containers of docker-compose.yml: what the README says about them to the letter, then a consortium that loses one
# agency, then two, and gets them back.
#
#   tests/compose.sh                         builds the binary in a container (some 20 minutes)
#   EINVOICE_TARGET=prebuilt tests/compose.sh    takes target/release/einvoice
#
# Needs docker, docker-compose and curl, and the ports that docker-compose.yml publishes. Where no registry answers, base images are made from a Debian root, which needs root,
# debootstrap and a mirror of Debian. Everything is made under a project of its own and removed at the end.
set -euo pipefail
cd "$(dirname "$0")/.."

export COMPOSE_PROJECT_NAME=einvoice-compose-test
root=$PWD
waits_max_s=120
work=$(mktemp -d)
# What the README makes in directories of its own goes with the rest.
export TMPDIR=$work

say() { printf '\n== %s\n' "$*"; }

fail() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# Ends what was begun, whatever became of it; after a failure, the logs first.
finish() {
  local outcome=$?
  if [ "$outcome" -ne 0 ]; then
    docker-compose -f "$root/docker-compose.yml" logs --no-color --tail 40 || true
  fi
  docker-compose -f "$root/docker-compose.yml" down -v --remove-orphans >/dev/null 2>&1 || true
  rm -rf "$work"
  exit "$outcome"
}

# Makes a base image when neither the machine nor a registry has it.
base_image() {
  local image=$1 suite=$2
  if docker image inspect "$image" >/dev/null 2>&1 || docker pull -q "$image" 2>/dev/null; then return; fi
  command -v debootstrap >/dev/null || fail "the image $image is not here, no registry has it, and there is no debootstrap"
  say "making $image from a Debian root"
  debootstrap --variant=minbase "$suite" "$work/root" >"$work/debootstrap.log"
  tar -C "$work/root" --exclude='./var/cache/apt/archives/*.deb' --exclude='./var/lib/apt/lists/*_*' -c . |
    docker import -c 'CMD ["bash"]' - "$image" >/dev/null
  rm -rf "$work/root"
}

# The README's sh blocks about containers; the last ends the consortium and is for the end of this test.
blocks() {
  awk '/^## /{ours = $0 == "## Four agencies in containers"}
       /^```/{inside = !inside && $0 == "```sh"; if (inside && ours) block++; next}
       ours && inside {print > ("'"$work"'/block-" block)}' README.md
  [ -e "$work/block-6" ] && [ ! -e "$work/block-7" ] || fail 'expected 6 sh blocks about containers in the README'
}

# play FIRST LAST: runs these blocks in this shell, as who pastes them does.
play() {
  local number
  for number in $(seq "$1" "$2"); do
    say "README, block $number"
    cat "$work/block-$number"
    # shellcheck disable=SC1090
    . "$work/block-$number"
  done
}

# eventually WHAT COMMAND…: asks again and again until it succeeds.
eventually() {
  local what=$1 until=$((SECONDS + waits_max_s))
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$until" ] || fail "waited $waits_max_s s in vain for: $what"
    sleep 1
  done
  printf '%s\n' "$what"
}

container() { docker-compose ps -aq "$1"; }
health_is() { [ "$(docker inspect --format '{{.State.Health.Status}}' "$(container "$1")")" = "$2" ]; }
ended_with() { [ "$(docker inspect --format '{{.State.Status}} {{.State.ExitCode}}' "$(container "$1")")" = "exited $2" ]; }
get() { curl -sS --max-time 20 --cacert certificates.pem "https://localhost:$1$2"; }
field() { client einvoice field - "$1"; }
# What the gRPC door at a port says of the node, as hexadecimal digits: a health check of gRPC is a call like any other,
# with an empty message behind five bytes (not compressed, no length). 1 is serving, 2 is not.
health_at() {
  printf '\0\0\0\0\0' | curl -sS --max-time 20 --http2 --cacert certificates.pem -H 'Content-Type: application/grpc' \
    -H 'TE: trailers' --data-binary @- "https://localhost:$1/grpc.health.v1.Health/Check" | od -An -tx1 | tr -d ' \n'
}
serves() { [ "$(health_at "$1")" = 00000000020801 ]; }
does_not_serve() { [ "$(health_at "$1")" = 00000000020802 ]; }
status_is() { [ "$(get "$1" /v1/status | field /health)" = "$2" ]; }

# issue PORT AUDIENCE NAME: a statement of the shop's own, which any agency takes. Prints the answer.
issue() {
  sed -e 's/^{"document": {/{"issue": {"document": {/' -e "s/README-2/$2/" -e '$s/$/}/' issue.json >"$2.json"
  client einvoice sign --key demo-shop/statement-1.json --chain "$CHAIN" --nonce "$2" - <"$2.json" >"$2.jws"
  curl -sS --max-time 30 --cacert certificates.pem "https://localhost:$1/v1/statements" \
    -H 'Content-Type: application/jose' --data "@$2.jws"
}

accepted() {
  local answer code
  answer=$(issue "$1" "$2")
  code=$(field /outcomes/0/code <<<"$answer") || fail "the statement $2 was not decided: $answer"
  [ "$code" = accepted ] || fail "expected accepted, found $code: $answer"
  printf 'accepted at port %s: %s\n' "$1" "$2"
}

# What the containers may do, as Docker has it and as they find it.
confined() {
  local node id
  for node in tax-bureau police customs central-bank observer; do
    id=$(container "$node")
    docker inspect --format '{{.Name}} read-only={{.HostConfig.ReadonlyRootfs}} dropped={{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}} restart={{.HostConfig.RestartPolicy.Name}} memory={{.HostConfig.Memory}} address={{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}} published={{range $port, $to := .NetworkSettings.Ports}}{{if $to}}{{$port}} {{end}}{{end}}' "$id"
    [ "$(docker exec "$id" id -u)" = 10001 ] || fail "$node runs as another user"
    if docker exec "$id" sh -c ': > /usr/local/x' 2>/dev/null; then fail "$node can write outside of its volume"; fi
    [ "$(docker exec "$id" awk '/^(CapEff|NoNewPrivs)/{print $2}' /proc/1/status | tr '\n' ' ')" = '0000000000000000 1 ' ] ||
      fail "$node has capabilities, or may get some"
  done
  # No consensus key stands twice, and the observer and the members have none.
  local keys
  keys=$(for node in tax-bureau police customs central-bank; do docker exec "$(container "$node")" cat keys/consensus-1.json; echo; done)
  [ "$(grep -c seed <<<"$keys")" = 4 ] && [ "$(sort -u <<<"$keys" | grep -c seed)" = 4 ] || fail 'four agencies have four keys'
  [ "$(docker exec "$(container observer)" ls keys | grep -c -e consensus -e governance)" = 0 ] || fail 'the observer has a vote'
  [ "$(client find . -name 'consensus*' -o -name 'peer*' </dev/null | wc -l)" = 0 ] || fail 'the members have keys of nodes'
}

command -v docker-compose >/dev/null || fail 'docker-compose is not installed'
docker info >/dev/null 2>&1 || fail 'no docker daemon answers'
trap finish EXIT
base_image debian:trixie-slim trixie
if [ "${EINVOICE_TARGET:-runtime}" = prebuilt ]; then
  [ -x target/release/einvoice ] || fail 'target/release/einvoice is missing: cargo build --release'
fi
blocks

say 'the image'
docker-compose build ceremony
docker image inspect --format '{{.Size}} bytes, user {{.Config.User}}' einvoice:local

play 1 5
[ "$(field /id <issued.json)" = "$INVOICE" ] || fail "no invoice: $(cat issued.json)"
[ "$(field /outcomes/0/code <locked.json)" = accepted ] || fail "the lock: $(cat locked.json)"
[ "$(field /code <refused.json)" = reimbursement.already-locked ] || fail "the second lock: $(cat refused.json)"
[ "$(field /reimbursement/status <invoice.json)" = locked ] || fail "the invoice: $(cat invoice.json)"

say 'the gRPC doors'
for port in 19441 19442 19443 19444 19445; do eventually "the gRPC door at $port serves" serves "$port"; done

say 'what the containers may do'
confined

say 'up again: nothing is made anew'
before=$(docker exec "$(container police)" cat genesis.json | sha256sum)
docker-compose up -d
[ "$(docker exec "$(container police)" cat genesis.json | sha256sum)" = "$before" ] || fail 'there is another genesis'
docker-compose logs --tail 1 ceremony

say 'one agency is killed'
docker-compose kill -s KILL police
eventually 'police is down, and stays down' ended_with police 137
for port in 18441 18443 18444; do accepted "$port" "three-$port"; done
for node in tax-bureau customs central-bank; do health_is "$node" healthy || fail "$node is not healthy"; done

say 'two agencies are killed'
docker-compose kill -s KILL customs
eventually 'the tax bureau says no-quorum' status_is 18441 no-quorum
eventually 'the central bank says no-quorum' status_is 18444 no-quorum
get 18441 /readyz
echo
get 18441 /v1/status | field /consensus/why
eventually 'the tax bureau says so over gRPC' does_not_serve 19441
eventually 'docker calls the tax bureau unhealthy' health_is tax-bureau unhealthy
eventually 'docker calls the central bank unhealthy' health_is central-bank unhealthy

say 'both are started again'
docker-compose up -d
for node in tax-bureau police customs central-bank observer; do eventually "$node is healthy" health_is "$node" healthy; done
for port in 19441 19442 19443 19444 19445; do eventually "the gRPC door at $port serves" serves "$port"; done
accepted 18442 four-again
token=$(client einvoice token --key demo-shop/login-1.json --aud demo-auditor-1 </dev/null)
eventually 'the observer has it' sh -c "curl -sS --cacert certificates.pem -H 'Authorization: Bearer $token' \
  'https://localhost:18445/v1/invoices?limit=50' | grep -q four-again"

say 'a node that is told to stop ends in order'
started=$SECONDS
docker-compose stop tax-bureau
ended_with tax-bureau 0 || fail 'the tax bureau did not end with 0'
printf 'it took %s s\n' "$((SECONDS - started))"

play 6 6
[ -z "$(docker volume ls -q --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME")" ] || fail 'volumes are left'
say 'all holds'
