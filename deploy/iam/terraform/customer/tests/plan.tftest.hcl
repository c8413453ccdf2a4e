mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = {
      account_id = "888877776666"
    }
  }
  mock_data "aws_partition" {
    defaults = {
      partition = "aws"
    }
  }
}

variables {
  service_account = "999988887777"
  tenant          = "ffffffffffffffffffffffffffffffff"
}

run "a_cmk_alone" {
  command = plan

  assert {
    condition     = length(aws_s3_bucket_policy.repository) + length(aws_s3_bucket_policy.delivery) == 0
    error_message = "A second CMK would replace the policy of a bucket."
  }
  assert {
    condition = (
      jsondecode(aws_kms_key.cmk.policy).Statement[0].Principal.AWS == ["arn:aws:iam::888877776666:root"]
    )
    error_message = "The owner does not administer the CMK."
  }
}

run "with_buckets_that_are_there" {
  command = plan

  variables {
    repository_bucket = "our-repository"
    delivery_bucket   = "our-parcels"
    repository_prefix = "strongroom/*/"
  }
  assert {
    condition = strcontains(
      aws_s3_bucket_policy.repository[0].policy, "arn:aws:s3:::our-repository/strongroom/*/config"
    )
    error_message = "The policy is for another place."
  }
}

run "a_prefix_without_a_slash" {
  command = plan

  variables {
    repository_prefix = "strongroom"
    delivery_prefix   = "/parcels/"
  }
  expect_failures = [var.repository_prefix, var.delivery_prefix]
}
