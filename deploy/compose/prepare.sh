#!/bin/sh
# What an installation needs before its first start: a CA and certificates, the broker's users, an identity for each
# role, the registry with its copies, the keystore, keys for the local S3, one vault in it. Runs in the image, as the service `setup` of
# docker-compose.yml; run again, it changes nothing. On several real hosts these steps are done one by one, each
# identity where it is used: docs/operations.md.
set -eu
umask 077
state=${1:-/state}
# How the local S3 is reached: over TLS, under our own CA. Who asks is in each role's credentials file.
options='endpoint=https://s3:8333&region=us-east-1&ca=/run/secrets/ca.crt'
area="s3://delivery/parcels?$options"

on() { # on HOST COMMAND...: run the command in that host's home
    host=$1
    shift
    STRONGROOM_HOME="$state/$host" "$@" >/dev/null
}

if [ -e "$state/ready" ]; then
    echo "prepared already"
    exit 0
fi

on key-broker strongroom pki init "$state/pki" --broker-host broker --flower-host flower --flower-host localhost
on key-broker strongroom pki issue "$state/pki" health # for the broker's health check
on key-broker strongroom pki issue "$state/pki" server-s3 --host s3
on key-broker strongroom acl "$state/broker"
/opt/strongroom/.venv/bin/python /opt/strongroom/deploy/compose/s3/s3.py keys "$state/s3"
on key-broker strongroom registry new
on key-broker strongroom-kms --folder "$state/key-broker/kms" init
for role in scheduler key-broker backup restore maintenance; do
    on "$role" strongroom identity new --role "$role" --name "$role"
    on key-broker strongroom enrol "$state/$role/identities/$role.pub" --role "$role"
done
on client strongroom identity new --role operator --name operator
on key-broker strongroom enrol "$state/client/identities/operator.pub" --role operator
on key-broker strongroom vault add documents --repo "s3://repository/documents?$options" --kms local-kms://documents
on key-broker strongroom registry export "$state/registry.copy"
for host in scheduler backup restore maintenance client; do
    on "$host" strongroom registry import "$state/registry.copy"
done
for host in scheduler key-broker backup restore maintenance client beat monitor; do
    # Mount points for what is not in the home of a container: its signs of life, the parcels, what workers remember.
    mkdir -p "$state/$host/run" "$state/$host/delivery" "$state/$host/cache"
done
printf '[delivery]\narea = "%s"\n' "$area" >"$state/client/config.toml"
printf '[delivery]\nareas = ["%s"]\n' "$area" >"$state/restore/config.toml"
python3 -c 'import secrets; print(secrets.token_urlsafe(24))' >"$state/flower.password"
touch "$state/ready"
echo "prepared; Flower's password is in deploy/compose/state/flower.password"
