"""The settings file that `strongroom init` writes: every setting with its default, commented out."""

from typing import Final

CONFIG_TOML: Final = """\
# Settings of Strongroom. What is commented out is the default. An unknown key or a bad value is an error that
# names it. Each can also be given as STRONGROOM_<SECTION>_<KEY> in the environment, which wins over this file.

[broker]
# url = ""                     # empty: every command starts the embedded stack, or uses the one that is up
                               # several hosts: rediss://host:6379/0, with mutual TLS; see docs/operations.md
# user = ""                    # empty: the one that `strongroom acl` makes for the role
# password_file = ""           # its first line is that user's password
# ca_file = ""
# cert_file = ""
# key_file = ""
# visibility_timeout_s = 3600  # when a message that nobody acknowledged is delivered again; the same for every role

[workers]
# backup = 2                   # processes; the default is the number of processors
# restore = 2
# maintenance = 1
# keys_threads = 8
# node = ""                    # what the monitor calls this host; empty: the host's name

[cache]
# max_age_s = 300              # how long a worker may hold a data key; at most 900

[kms]
# rate = 50.0                  # calls per second, and how many at once, over all tenants
# burst = 100
# tenant_rate = 20.0           # the same for each tenant
# tenant_burst = 40
# deadline_s = 10.0
# keystore = ""                # folder of the local KMS; empty: `kms` in this home
# passphrase_file = ""         # its first line opens the local keystore, if that has a passphrase
                               # vaults under aws-kms://ARN; an option of the URI wins over these:
# aws_role = ""                # ARN of the role that the key-broker assumes for each tenant
# aws_rewrap_role = ""         # the same for re-encryption; empty: as aws_role
# aws_external_id = ""         # what those roles' trust policies may ask for
# aws_endpoint = ""            # https:// of a VPC endpoint, for example
# aws_sts_endpoint = ""
# aws_ca_file = ""             # PEM of the CAs of those endpoints
# aws_profile = ""
# aws_connect_timeout_s = 1.0
# aws_read_timeout_s = 3.0

[epoch]
# max_age_days = 30            # after that, a vault goes on under a new data key

[store]
# parallel = 4                 # requests to S3 at once, for each process
# max_mib_per_s = 0.0          # bandwidth of each process; 0: all there is
# deadline_s = 30.0            # for how long a failed operation is tried again
# connect_timeout_s = 5.0
# read_timeout_s = 20.0        # for the next bytes of an answer, and for all of it but 64 KiB/s
# source_endpoints = []        # https:// of servers, beside AWS and the vault's own, whose buckets may be backed up;
                               # counts only with a broker of your own

[delivery]
# area = ""                    # where commands have parcels put: file:///path or s3://bucket/prefix?profile=NAME;
                               # empty: this home's own folder
# areas = []                   # further places where restore workers may put parcels

[monitor]
# events = false               # whether workers tell the monitor what they do; `up --flower` turns it on
# flower_address = "127.0.0.1" # another one needs a certificate
# flower_port = 5555
# flower_user = "strongroom"
# flower_password = ""         # empty: a new one for each run of `strongroom up --flower`, shown by `status`
# flower_password_file = ""
# flower_cert_file = ""
# flower_key_file = ""
# flower_client_ca_file = ""   # ask browsers for a certificate of this CA

# A backup that recurs while the stack is up. As many as you like.
# [[schedules]]
# name = "nightly"
# vault = "documents"
# paths = ["/home/me/documents"]
# cron = "30 2 * * *"
# timezone = "Europe/Berlin"
# excludes = ["*.tmp", "node_modules"]
# tags = ["nightly"]
# host = ""                    # whose backup workers read the paths; empty: the vault's host, or any
# catch_up = true              # a run that was missed is made up for, once

# What stays of a vault's snapshots, again and again: `strongroom forget` without a person. As many as you like.
# [[retention]]
# name = "weekly"
# vault = "documents"
# cron = "0 5 * * 0"
# timezone = "Europe/Berlin"   # of cron; the days, weeks, months and years that are kept are UTC's
# hosts = []                   # which snapshots it is about, as --host, --tag and --path; empty: all
# tags = ["nightly"]           # "a,b" for both together
# paths = []                   # absolute, or s3://bucket/prefix
# keep_last = 0                # at least one keep_ has to be there; "unlimited" keeps all of a kind
# keep_hourly = 0
# keep_daily = 7
# keep_weekly = 5
# keep_monthly = 12
# keep_yearly = 0
# keep_within = ""             # a span such as "30d" or "1y6m"
# keep_tags = []               # what has one of these tags stays
# prune = false                # whether to free afterwards what no snapshot needs, as `strongroom prune`
# max_unused = 5.0             # percent that may stay unused then
# catch_up = true
"""
