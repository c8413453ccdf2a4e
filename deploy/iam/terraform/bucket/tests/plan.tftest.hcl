mock_provider "aws" {
  mock_data "aws_partition" {
    defaults = {
      partition = "aws"
    }
  }
}

variables {
  kind            = "repository"
  name            = "our-repository"
  prefix          = "strongroom/"
  service_account = "999988887777"
}

run "a_repository" {
  command = plan

  variables {
    object_lock = true
  }
  assert {
    condition     = aws_s3_bucket.this.object_lock_enabled
    error_message = "Objects cannot be locked."
  }
  assert {
    condition     = aws_s3_bucket_versioning.this[0].versioning_configuration[0].status == "Enabled"
    error_message = "What is removed cannot be brought back."
  }
  assert {
    # Which AWS does not take together with days.
    condition     = aws_s3_bucket_lifecycle_configuration.repository[0].rule[0].expiration[0].expired_object_delete_marker
    error_message = "A repository would end by itself."
  }
  assert {
    condition     = jsondecode(aws_s3_bucket_policy.this.policy).Statement[0].Sid == "OnlyTls"
    error_message = "The bucket can be reached without TLS."
  }
  assert {
    condition     = strcontains(aws_s3_bucket_policy.this.policy, "arn:aws:s3:::our-repository/strongroom/config")
    error_message = "The policy is for another place."
  }
}

run "a_delivery_area" {
  command = plan

  variables {
    kind   = "delivery"
    name   = "our-parcels"
    prefix = "parcels/"
  }
  assert {
    condition     = length(aws_s3_bucket_versioning.this) == 0
    error_message = "Parcels would be kept as versions."
  }
  assert {
    condition     = aws_s3_bucket_lifecycle_configuration.delivery[0].rule[0].expiration[0].days == 1
    error_message = "What nobody took stays."
  }
  assert {
    condition     = strcontains(aws_s3_bucket_policy.this.policy, "role/strongroom-restore")
    error_message = "Nobody may deliver."
  }
}

run "a_delivery_area_with_locks" {
  command = plan

  variables {
    kind        = "delivery"
    object_lock = true
  }
  expect_failures = [aws_s3_bucket.this]
}

run "what_is_no_bucket_of_ours" {
  command = plan

  variables {
    kind            = "source"
    prefix          = "strongroom"
    service_account = "1"
  }
  expect_failures = [var.kind, var.prefix, var.service_account]
}
