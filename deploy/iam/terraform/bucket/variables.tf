variable "kind" {
  description = "What the bucket is for: repository, or delivery."
  type        = string

  validation {
    condition     = contains(["repository", "delivery"], var.kind)
    error_message = "A bucket is a repository's or a delivery area's."
  }
}

variable "name" {
  description = "Of the bucket; repository_bucket or delivery_bucket of the module service."
  type        = string
}

variable "prefix" {
  description = "repository_prefix or delivery_prefix of the module service; ends with a slash, or is empty."
  type        = string

  validation {
    condition     = can(regex("^([^/].*/)?$", var.prefix))
    error_message = "A prefix ends with a slash and does not begin with one, or is empty."
  }
}

variable "service_account" {
  description = "Account that runs Strongroom's roles; may be this one."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.service_account))
    error_message = "An account has 12 digits."
  }
}

variable "role_prefix" {
  description = "Beginning of every role's name there."
  type        = string
  default     = "strongroom-"
}

variable "bucket_key_arn" {
  description = "Key for SSE-KMS of the bucket, one of bucket_key_arns of the module service; never a CMK. Without it SSE-S3."
  type        = string
  default     = null
}

variable "object_lock" {
  description = "Whether objects can be locked, for vaults with lock=...; only a repository's, and only from the beginning."
  type        = bool
  default     = false
}

variable "lock_modes" {
  description = "Modes of Object Lock that objects of the repository may have. COMPLIANCE cannot be undone by anybody."
  type        = list(string)
  default     = ["GOVERNANCE"]

  validation {
    condition     = length(var.lock_modes) > 0 && alltrue([for mode in var.lock_modes : contains(["GOVERNANCE", "COMPLIANCE"], mode)])
    error_message = "The modes are GOVERNANCE and COMPLIANCE."
  }
}

variable "lock_days" {
  description = "Days that an object may be locked for at most: one more than the longest retention of the vaults."
  type        = number
  default     = 366

  validation {
    condition     = var.lock_days >= 1 && floor(var.lock_days) == var.lock_days
    error_message = "Whole days, one at least."
  }
}

variable "noncurrent_days" {
  description = "Days for which what was removed from a repository can be brought back."
  type        = number
  default     = 30

  validation {
    condition     = var.noncurrent_days >= 1 && floor(var.noncurrent_days) == var.noncurrent_days
    error_message = "Whole days, one at least."
  }
}
