#!/bin/sh
# Parcels through a bucket, in the machine of trial.sh: only the restore worker is given keys of the store, by the
# drop-in of docs/operations.md as it stands there. The server is the local S3 of docker-compose.yml, with its policies.
set -eu
umask 022
units=/srv/units
keys=/srv/keys
home=${HOME:-/root}
compose=/opt/strongroom/deploy/compose/s3
PATH=/opt/strongroom/.venv/bin:$PATH
area='s3://delivery/parcels?endpoint=https://s3:8333&region=us-east-1&ca=/etc/strongroom/tls/ca.crt'

echo 127.0.0.1 s3 >>/etc/hosts # the name under which compose's own script reaches it
cd "$home/admin"
STRONGROOM_HOME=$home/admin strongroom pki issue pki server-s3 --host s3 >/dev/null
python3 "$compose/s3.py" keys "$keys"
mkdir -p /srv/objects
systemd-run --quiet --unit=trial-s3 /opt/s3/bin/weed server -dir=/srv/objects -ip=127.0.0.1 -ip.bind=127.0.0.1 \
    -master.peers=none -master.telemetry=false -master.volumeSizeLimitMB=64 -volume.max=20 -filer -s3 -s3.port=8333 \
    -s3.port.iceberg=0 -s3.port.lance=0 -s3.autoCreateBucket=false -s3.config="$keys/identities.json" \
    -s3.cert.file="$PWD/pki/server-s3.crt" -s3.key.file="$PWD/pki/server-s3.key"
AWS_SHARED_CREDENTIALS_FILE=$keys/admin.credentials python3 "$compose/s3.py" buckets >/dev/null

said=$(printf %s "$area" | sed 's/&/\\&/g') # what sed takes for words of its own
sed -i "s#^areas = .*#areas = [\"file:///srv/strongroom/delivery\", \"$said\"]#" /etc/strongroom/restore.toml
systemctl restart strongroom-restore

restore() { # restore TARGET: by way of the bucket, with the keys of whoever restores
    STRONGROOM_HOME=$home/client AWS_SHARED_CREDENTIALS_FILE=$keys/client.credentials \
        strongroom restore web latest:/srv/www --target "$1" --delivery "$area" --json
}

# Without the drop-in there are no keys, wherever AWS's libraries look.
if restore /tmp/without >/tmp/without.log 2>&1 || ! grep -q 'redentials' /tmp/without.log; then
    cat /tmp/without.log >&2
    exit 1
fi

install -m 0600 "$keys/restore.credentials" /etc/strongroom/secrets/restore.aws
sed -n '/^\[Service\]$/,/^```$/p' "$units/operations.md" | sed '/^```$/d' >/tmp/credentials.conf
grep -q '^LoadCredential=aws:/etc/strongroom/secrets/restore.aws$' /tmp/credentials.conf
cp /tmp/credentials.conf /etc/systemd/system/strongroom-restore.service.d/
systemctl daemon-reload
systemctl restart strongroom-restore
restore /tmp/bucket
diff -r /srv/www /tmp/bucket
