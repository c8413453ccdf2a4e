# A customer's CMK and the policies of buckets that are there already, in the customer's account. The policies are generated from
# ../../table.py.

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
    service_account   = var.service_account
    customer_account  = data.aws_caller_identity.here.account_id
    role_prefix       = var.role_prefix
    tenant            = var.tenant
    repository_bucket = var.repository_bucket
    repository_prefix = var.repository_prefix
    delivery_bucket   = var.delivery_bucket
    delivery_prefix   = var.delivery_prefix
    lock_modes        = var.lock_modes
    lock_days         = var.lock_days
    vpc_endpoints     = var.vpc_endpoints
  }
  key = jsondecode(templatefile("${path.module}/policies/customer-key.json.tftpl", local.names))
}

resource "aws_kms_key" "cmk" {
  description             = "Strongroom CMK"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  multi_region            = var.multi_region
  policy = jsonencode({
    Version   = local.key.Version
    Statement = [for row in local.key.Statement : row if lookup(local.present, row.Sid, true)]
  })

  lifecycle {
    # Whoever destroys the CMK destroys every backup under it.
    prevent_destroy = true
  }
}

# A bucket has one policy: a second CMK's module leaves it out, and the module bucket brings its own.
resource "aws_s3_bucket_policy" "repository" {
  count  = var.repository_bucket == null ? 0 : 1
  bucket = var.repository_bucket
  policy = templatefile("${path.module}/policies/repository-bucket.json.tftpl", local.names)
}

resource "aws_s3_bucket_policy" "delivery" {
  count  = var.delivery_bucket == null ? 0 : 1
  bucket = var.delivery_bucket
  policy = templatefile("${path.module}/policies/delivery-bucket.json.tftpl", local.names)
}

output "kms_uri" {
  description = "For `strongroom vault create --kms`."
  value       = "aws-kms://${aws_kms_key.cmk.arn}"
}
