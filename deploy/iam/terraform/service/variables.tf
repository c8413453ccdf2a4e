variable "role_prefix" {
  description = "Beginning of every role's name."
  type        = string
  default     = "strongroom-"
}

variable "cmk_arns" {
  description = "CMKs that vaults use, of all tenants; none before the first one is made, whose policy names these roles."
  type        = list(string)

  validation {
    condition     = alltrue([for arn in var.cmk_arns : can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/", arn))])
    error_message = "A CMK is named by its ARN, not by an alias."
  }
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

  validation {
    condition     = can(regex("^([^/].*/)?$", var.repository_prefix))
    error_message = "A prefix ends with a slash and does not begin with one, or is empty."
  }
}

variable "delivery_bucket" {
  description = "Bucket of the delivery area."
  type        = string
}

variable "delivery_prefix" {
  description = "Prefix of the delivery area; ends with a slash, or is empty."
  type        = string
  default     = "parcels/"

  validation {
    condition     = can(regex("^([^/].*/)?$", var.delivery_prefix))
    error_message = "A prefix ends with a slash and does not begin with one, or is empty."
  }
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
  description = "Who may take a process role: name of the role, without prefix, to an assume-role policy (JSON); EC2 by default."
  type        = map(string)
  default     = {}

  validation {
    condition = alltrue([
      for name in keys(var.trust) :
      contains(["key-broker", "rewrap", "backup", "restore", "maintenance", "scheduler", "client"], name)
    ])
    error_message = "A process role is key-broker, rewrap, backup, restore, maintenance, scheduler or client."
  }
}
