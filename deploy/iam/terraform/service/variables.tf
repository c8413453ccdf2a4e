variable "role_prefix" {
  description = "Beginning of every role's name."
  type        = string
  default     = "strongroom-"
}

variable "cmk_arns" {
  description = "CMKs that vaults use, of all tenants."
  type        = list(string)
}

variable "old_cmk_arns" {
  description = "CMKs that re-encryption moves away from; none: only between the others."
  type        = list(string)
  default     = []
}

variable "bucket_key_arns" {
  description = "Keys of SSE-KMS on the buckets, if they have it; never one of the CMKs."
  type        = list(string)
  default     = []
}

variable "repository_bucket" {
  description = "Bucket of the repositories."
  type        = string
}

variable "repository_prefix" {
  description = "Prefix of the repositories in it; ends with a slash, or is empty."
  type        = string
  default     = "strongroom/"
}

variable "delivery_bucket" {
  description = "Bucket of the delivery area."
  type        = string
}

variable "delivery_prefix" {
  description = "Prefix of the delivery area; ends with a slash, or is empty."
  type        = string
  default     = "parcels/"
}

variable "source_buckets" {
  description = "Buckets that backup workers read as a source."
  type        = list(string)
  default     = []
}

variable "target_buckets" {
  description = "Buckets that the command may restore objects to."
  type        = list(string)
  default     = []
}

variable "external_id" {
  description = "What the key-broker says when it assumes a role (kms.aws_external_id); no secret."
  type        = string
  default     = "strongroom"
}

variable "trust" {
  description = "Who may take a process role: name of the role to an assume-role policy (JSON); EC2 by default."
  type        = map(string)
  default     = {}
}
