# A bucket of Strongroom with its policy, in the customer's account: once for the repository and once for the delivery
# area. The policies are generated from ../../table.py; they begin with the denial of everything that is not TLS.

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

data "aws_partition" "here" {}

locals {
  repository = var.kind == "repository"
  names = {
    partition         = data.aws_partition.here.partition
    service_account   = var.service_account
    role_prefix       = var.role_prefix
    repository_bucket = var.name
    repository_prefix = var.prefix
    delivery_bucket   = var.name
    delivery_prefix   = var.prefix
    lock_modes        = var.lock_modes
    lock_days         = var.lock_days
  }
}

resource "aws_s3_bucket" "this" {
  bucket              = var.name
  object_lock_enabled = var.object_lock

  lifecycle {
    # Whoever destroys the repository destroys every backup in it.
    prevent_destroy = true

    precondition {
      condition     = local.repository || !var.object_lock
      error_message = "Parcels are removed once they are opened: a delivery area cannot have Object Lock."
    }
  }
}

resource "aws_s3_bucket_public_access_block" "this" {
  bucket                  = aws_s3_bucket.this.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    bucket_key_enabled = var.bucket_key_arn != null

    apply_server_side_encryption_by_default {
      sse_algorithm     = var.bucket_key_arn == null ? "AES256" : "aws:kms"
      kms_master_key_id = var.bucket_key_arn
    }
  }
}

resource "aws_s3_bucket_versioning" "this" {
  # Parcels are for once: their versions would be kept for nobody.
  count  = local.repository ? 1 : 0
  bucket = aws_s3_bucket.this.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "repository" {
  count  = local.repository ? 1 : 0
  bucket = aws_s3_bucket.this.id

  # Nothing here ends a current version: only maintenance removes, and only what no snapshot needs.
  rule {
    id     = "end-what-was-removed"
    status = "Enabled"

    filter {}

    noncurrent_version_expiration {
      noncurrent_days = var.noncurrent_days
    }

    expiration {
      expired_object_delete_marker = true
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }

  depends_on = [aws_s3_bucket_versioning.this]
}

resource "aws_s3_bucket_lifecycle_configuration" "delivery" {
  count  = local.repository ? 0 : 1
  bucket = aws_s3_bucket.this.id

  # What is older than a day belongs to a command that was killed: docs/s3.md.
  rule {
    id     = "end-what-nobody-took"
    status = "Enabled"

    filter {
      prefix = var.prefix
    }

    expiration {
      days = 1
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }
}

resource "aws_s3_bucket_policy" "this" {
  bucket = aws_s3_bucket.this.id
  policy = templatefile("${path.module}/../customer/policies/${var.kind}-bucket.json.tftpl", local.names)
  # Two changes of a bucket's access at once hinder each other.
  depends_on = [aws_s3_bucket_public_access_block.this]
}

output "name" {
  description = "Of the bucket."
  value       = aws_s3_bucket.this.id
}
