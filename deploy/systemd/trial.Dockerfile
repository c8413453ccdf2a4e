# A machine with systemd for `make systemd-test`: the image of the roles, with an init, a broker and a local S3.
FROM strongroom
USER 0:0
RUN echo 'deb http://deb.debian.org/debian bookworm-backports main' >/etc/apt/sources.list.d/backports.list \
    && apt-get update \
    && apt-get install --yes --no-install-recommends systemd dbus procps \
    && apt-get install --yes --no-install-recommends -t bookworm-backports valkey-server \
    && systemctl mask valkey-server.service \
    && rm -rf /var/lib/apt/lists/*
COPY --from=strongroom-s3 /opt/s3 /opt/s3
STOPSIGNAL SIGRTMIN+3
# Credentials of services arrive by way of a shared mount, as which a container's root does not begin.
ENTRYPOINT ["/bin/sh", "-c", "mount --make-rshared / && exec /lib/systemd/systemd"]
