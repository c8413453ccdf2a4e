#!/bin/sh
# docs/operations.md on one machine with systemd, step by step: run by `make systemd-test` in a container of its own.
# The hosts of the page are homes here, and what an administrator carries is copied.
set -eu
umask 022
units=/srv/units
home=${HOME:-/root}
admin=$home/admin
PATH=/opt/strongroom/.venv/bin:$PATH

as() { # as ROLE COMMAND...: in the home of a role, as its user
    who=$1
    shift
    user=strongroom-${who%%.*}
    setpriv --reuid "$user" --regid "$user" --clear-groups \
        env STRONGROOM_HOME="/var/lib/strongroom/$who" "$@" >/dev/null
}

# 1. The broker
mkdir -p "$admin" && cd "$admin"
export STRONGROOM_HOME=$admin
strongroom pki init pki >/dev/null
strongroom acl broker --host web1 >/dev/null
strongroom pki issue pki backup.web1 >/dev/null
mkdir -p /run/secrets # where deploy/compose/valkey.conf looks
cp pki/ca.crt broker/users.acl /run/secrets/
cp pki/server-broker.crt /run/secrets/tls.crt
cp pki/server-broker.key /run/secrets/tls.key
systemd-run --quiet --unit=trial-broker valkey-server "$units/valkey.conf"

# 2. Each host
cp "$units"/*.service /etc/systemd/system/
install -D -m 0644 "$units/strongroom.sysusers.conf" /etc/sysusers.d/strongroom.conf
install -D -m 0644 "$units/strongroom.tmpfiles.conf" /etc/tmpfiles.d/strongroom.conf
cat >>/etc/tmpfiles.d/strongroom.conf <<'END'
d /var/lib/strongroom/backup.web1 0700 strongroom-backup strongroom-backup
L /var/lib/strongroom/backup.web1/config.toml - - - - /etc/strongroom/backup.web1.toml
END
install -d -m 0755 /etc/strongroom /etc/strongroom/tls
install -d -m 0700 /etc/strongroom/secrets
cp pki/ca.crt /etc/strongroom/tls/
for role in scheduler beat key-broker backup.web1 restore maintenance monitor; do
    example=$role
    [ "$role" = backup.web1 ] && example=backup-host
    sed 's/broker\.example\.com/localhost/' "$units/examples/$example.toml" >"/etc/strongroom/$role.toml"
    cp "pki/$role.crt" /etc/strongroom/tls/
    cp "pki/$role.key" /etc/strongroom/secrets/
    cp "broker/$role.password" /etc/strongroom/secrets/
done
cp pki/server-flower.crt /etc/strongroom/tls/
cp pki/server-flower.key /etc/strongroom/secrets/
echo "only for this trial" >/etc/strongroom/secrets/flower.password
chmod 644 /etc/strongroom/*.toml /etc/strongroom/tls/*
chmod 600 /etc/strongroom/secrets/*
systemd-sysusers
systemd-tmpfiles --create

# Folders that workers share belong to one user, under "Places"; the client of this trial is root.
install -d -m 0700 -o strongroom-backup -g strongroom-backup /srv/strongroom/repositories
install -d -m 0700 -o strongroom-backup -g strongroom-backup /srv/strongroom/delivery
for unit in strongroom-restore strongroom-maintenance; do
    mkdir -p "/etc/systemd/system/$unit.service.d"
    printf '[Service]\nUser=strongroom-backup\nGroup=strongroom-backup\n' >"/etc/systemd/system/$unit.service.d/user.conf"
done
systemctl daemon-reload

# 3. The registry and the key-broker
as key-broker strongroom registry new
as key-broker strongroom identity new --role key-broker --name keys1
as key-broker strongroom enrol /var/lib/strongroom/key-broker/identities/key-broker.pub --role key-broker
as key-broker strongroom-kms --folder /var/lib/strongroom/key-broker/kms init

# 4. Identities
enrol() { # enrol HOST ROLE NAME OPTIONS...
    of=$1 role=$2 name=$3
    shift 3
    as "$of" strongroom identity new --role "$role" --name "$name"
    install -m 0644 "/var/lib/strongroom/$of/identities/$role.pub" "/tmp/$name.pub"
    as key-broker strongroom enrol "/tmp/$name.pub" --role "$role" "$@"
}
enrol scheduler scheduler scheduler1
enrol backup.web1 backup web1 --host web1
enrol restore restore restore1
enrol maintenance maintenance maintenance1
client=$home/client
mkdir -m 0700 $client
export STRONGROOM_HOME=$client
sed "s/broker\.example\.com/localhost/; s#/etc/strongroom/[a-z]*/#$client/#" "$units/examples/client.toml" >$client/config.toml
cp pki/ca.crt pki/client.crt pki/client.key broker/client.password $client/
strongroom identity new --role operator --name anna >/dev/null
install -m 0644 $client/identities/operator.pub /tmp/anna.pub
as key-broker strongroom enrol /tmp/anna.pub --role operator

# 5. Vaults and copies
as key-broker strongroom vault add web --repo file:///srv/strongroom/repositories/web --kms local-kms://web --host web1
as key-broker strongroom registry export /tmp/registry.json
chmod 644 /tmp/registry.json
for role in scheduler backup.web1 restore maintenance; do
    as "$role" strongroom registry import /tmp/registry.json
done
strongroom registry import /tmp/registry.json >/dev/null
systemctl enable --quiet --now strongroom-key-broker
systemctl enable --quiet --now strongroom-scheduler strongroom-beat
systemctl enable --quiet --now strongroom-backup@web1
systemctl enable --quiet --now strongroom-restore strongroom-maintenance strongroom-monitor

# 6. The first backup: what only root can read, too
mkdir -p /srv/www
echo "<h1>web1</h1>" >/srv/www/index.html
(umask 077 && echo "for root alone" >/srv/www/secret)
strongroom status >/dev/null
strongroom vault create web --repo file:///srv/strongroom/repositories/web --kms local-kms://web >/dev/null
strongroom backup web /srv/www --json
strongroom restore web latest:/srv/www --target /tmp/www --json
diff -r /srv/www /tmp/www
strongroom check web --json
