# Strongroom's roles, in the account that runs it. The policies are generated from ../../table.py.

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

data "aws_caller_identity" "here" {}
data "aws_partition" "here" {}

locals {
  names = {
    partition         = data.aws_partition.here.partition
    service_account   = data.aws_caller_identity.here.account_id
    role_prefix       = var.role_prefix
    cmk_arns          = var.cmk_arns
    old_cmk_arns      = var.old_cmk_arns
    bucket_key_arns   = var.bucket_key_arns
    repository_bucket = var.repository_bucket
    repository_prefix = var.repository_prefix
    delivery_bucket   = var.delivery_bucket
    delivery_prefix   = var.delivery_prefix
    external_id       = var.external_id
    source_arns = flatten([
      for bucket in var.source_buckets : [
        "arn:${data.aws_partition.here.partition}:s3:::${bucket}",
        "arn:${data.aws_partition.here.partition}:s3:::${bucket}/*",
      ]
    ])
    target_arns = flatten([
      for bucket in var.target_buckets : [
        "arn:${data.aws_partition.here.partition}:s3:::${bucket}",
        "arn:${data.aws_partition.here.partition}:s3:::${bucket}/*",
      ]
    ])
  }
  # Roles of processes; who may take them is for `trust` to say.
  process_roles = toset(["key-broker", "rewrap", "backup", "restore", "maintenance", "scheduler", "client"])
  # Roles that the key-broker and the rewrap process assume for one tenant at a time.
  tenant_roles = toset(["key-broker-tenant", "rewrap-tenant"])
  documents = {
    for name in setunion(local.process_roles, local.tenant_roles) :
    name => jsondecode(templatefile("${path.module}/policies/${name}.json.tftpl", local.names))
  }
}

resource "aws_iam_role" "process" {
  for_each           = local.process_roles
  name               = "${var.role_prefix}${each.key}"
  assume_role_policy = lookup(var.trust, each.key, file("${path.module}/../../trust-ec2.json"))
}

resource "aws_iam_role" "tenant" {
  for_each             = local.tenant_roles
  name                 = "${var.role_prefix}${each.key}"
  max_session_duration = 3600
  assume_role_policy   = templatefile("${path.module}/policies/${each.key}-trust.json.tftpl", local.names)
  # AWS refuses a trust policy whose principals do not exist yet.
  depends_on = [aws_iam_role.process]
}

resource "aws_iam_role_policy" "role" {
  for_each = local.documents
  name     = "strongroom"
  role     = "${var.role_prefix}${each.key}"
  policy = jsonencode({
    Version   = each.value.Version
    Statement = [for row in each.value.Statement : row if lookup(local.present, row.Sid, true)]
  })
  depends_on = [aws_iam_role.process, aws_iam_role.tenant]
}

resource "aws_iam_instance_profile" "process" {
  for_each = local.process_roles
  name     = "${var.role_prefix}${each.key}"
  role     = aws_iam_role.process[each.key].name
}

output "role_arns" {
  description = "ARN of every role; kms.aws_role of the key-broker is key-broker-tenant."
  value = merge(
    { for name, role in aws_iam_role.process : name => role.arn },
    { for name, role in aws_iam_role.tenant : name => role.arn },
  )
}
