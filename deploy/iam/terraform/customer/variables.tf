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

variable "tenant" {
  description = "Id of the tenant, 32 hex digits, as `strongroom registry export FILE --json` shows it."
  type        = string

  validation {
    condition     = can(regex("^[0-9a-f]{32}$", var.tenant))
    error_message = "A tenant id has 32 hex digits."
  }
}

variable "repository_bucket" {
  description = "Bucket of the repositories that is there and gets its policy here; none: made by the module bucket."
  type        = string
  default     = null
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
  description = "Bucket of the delivery area, likewise."
  type        = string
  default     = null
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

variable "vpc_endpoints" {
  description = "VPC endpoints of KMS (vpce-...); when given, Strongroom uses the CMK through no other."
  type        = list(string)
  default     = []
}

variable "multi_region" {
  description = "Whether the CMK can have replicas in other Regions."
  type        = bool
  default     = false
}
