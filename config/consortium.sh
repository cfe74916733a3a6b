#!/bin/sh
# The ceremony of docker-compose.yml: keys, genesis and configuration of four agencies and an observer, for development.
#
# Below /consortium stands a volume for each node and one for the members who have no node; each gets its own secrets and
# nobody else's. Here one container plays everybody, as `einvoice init --local` does. In a real consortium each agency
# makes its keys on its own machine.
#
# Run again, it finds what it made and changes nothing.
set -eu
umask 077

home=/consortium
agencies='tax-bureau police customs central-bank'
nodes="$agencies observer"
certificate_days=3650

fail() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# The genesis comes last into each volume and says that the rest is there.
complete=0
for place in $nodes members; do
  if [ -e "$home/$place/genesis.json" ]; then
    cmp -s "$home/tax-bureau/genesis.json" "$home/$place/genesis.json" ||
      fail "the volume of $place is of another consortium than that of tax-bureau"
    complete=$((complete + 1))
  fi
done
case $complete in
  6) echo 'the consortium is there already' && exit 0 ;;
  0) ;;
  *) fail "only $complete of 6 volumes are complete: an earlier ceremony was broken off, or volumes were removed" \
    '(docker-compose down -v removes all of them, with everything that is on the chain)' ;;
esac

# In memory: nobody's secrets stay where everybody's were.
made=$(mktemp -d)
einvoice init "$made" --local 4 --observer --peer-port 7101 >/dev/null

# Every node calls the others by name. Where it listens is said in docker-compose.yml.
names=''
port=7101
for agency in $agencies; do
  names="$names;/^address = /s/\"127\\.0\\.0\\.1:$port\"/\"$agency:7101\"/"
  port=$((port + 1))
done

# give NAME DIRECTORY: a node's configuration and keys into its volume.
give() {
  mkdir -p "$home/$1/keys/hosted" "$home/$1/tls"
  cp "$2"/keys/*.json "$home/$1/keys/"
  sed -e '/^genesis = /d' -e '/^listen = /d' -e "${names#;}" "$2/node.toml" >"$home/$1/node.toml"
  if grep -n '127\.0\.0\.1' "$home/$1/node.toml"; then fail "the configuration of $1 names this machine"; fi
  einvoice keys certificate "$made/tls/$1" --name "$1" --name localhost --name 127.0.0.1 --days "$certificate_days" \
    >/dev/null
  cp "$made/tls/$1"/*.pem "$home/$1/tls/"
  cat "$made/tls/$1/certificate.pem" >>"$made/certificates.pem"
}

give tax-bureau "$made"
for agency in police customs central-bank; do
  give "$agency" "$made/nodes/$agency"
done
give observer "$made/nodes/demo-auditor"

# What organisations sign with themselves: agencies keep theirs with their node, the others are the members.
# The bureau also holds keys for those who let it, but none of another agency.
for agency in $agencies; do
  cp "$made/keys/$agency"/*.json "$home/$agency/keys/"
  rm -rf "$made/keys/$agency"
  if [ "$agency" != tax-bureau ]; then rm "$made/keys/hosted/$agency".*; fi
done
cp "$made"/keys/hosted/*.json "$home/tax-bureau/keys/hosted/"
cp "$made/certificates.pem" "$home/members/"
for member in "$made"/keys/demo-*; do
  mkdir -p "$home/members/${member##*/}"
  cp "$member"/*.json "$home/members/${member##*/}/"
done

sync -f "$home/members"
for place in members $nodes; do
  cp "$made/genesis.json" "$home/$place/genesis.json"
done
sync -f "$home/members"
printf 'made a consortium: '
sha256sum "$home/tax-bureau/genesis.json"
