# Generated from ../../table.py.
locals {
  present = {
    MoveWithinKeys  = length(var.cmk_arns) > 0
    NeverElsewhere  = length(var.cmk_arns) > 0
    ReadSources     = length(var.source_buckets) > 0
    RestoreObjects  = length(var.target_buckets) > 0
    SeeKeys         = length(var.cmk_arns) > 0
    TakeFromOldKeys = length(var.old_cmk_arns) > 0
    UseBucketKey    = length(var.bucket_key_arns) > 0
    UseKeys         = length(var.cmk_arns) > 0
  }
}
