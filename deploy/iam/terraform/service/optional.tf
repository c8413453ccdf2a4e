# Generated from ../../table.py.
locals {
  present = {
    ReadSources = length(var.source_buckets) > 0
    RestoreObjects = length(var.target_buckets) > 0
    UseBucketKey = length(var.bucket_key_arns) > 0
  }
}
