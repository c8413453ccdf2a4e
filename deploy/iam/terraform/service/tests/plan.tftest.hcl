mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = {
      account_id = "999988887777"
    }
  }
  mock_data "aws_partition" {
    defaults = {
      partition = "aws"
    }
  }
}

variables {
  cmk_arns          = ["arn:aws:kms:eu-central-1:888877776666:key/1"]
  repository_bucket = "our-repository"
  delivery_bucket   = "our-parcels"
}

run "with_a_cmk" {
  command = plan

  assert {
    condition = contains(
      [for row in jsondecode(aws_iam_role_policy.role["key-broker-tenant"].policy).Statement : row.Sid], "UseKeys"
    )
    error_message = "The key-broker's sessions may not use the CMK."
  }
  assert {
    condition = (
      jsondecode(aws_iam_role.process["backup"].assume_role_policy).Statement[0].Principal.Service == "ec2.amazonaws.com"
    )
    error_message = "Instances cannot take the role."
  }
}

run "before_the_first_cmk" {
  command = plan

  variables {
    cmk_arns = []
  }
  assert {
    condition = alltrue(flatten([
      for policy in aws_iam_role_policy.role : [
        for row in jsondecode(policy.policy).Statement : length(try(row.Resource, row.NotResource, ["*"])) > 0
      ]
    ]))
    error_message = "AWS takes no statement with an empty list."
  }
  assert {
    condition = [
      for row in jsondecode(aws_iam_role_policy.role["rewrap-tenant"].policy).Statement : row.Effect
    ] == ["Deny"]
    error_message = "Without a CMK a tenant's session may do nothing."
  }
}

run "a_prefix_without_a_slash" {
  command = plan

  variables {
    repository_prefix = "strongroom"
    delivery_prefix   = "/"
  }
  expect_failures = [var.repository_prefix, var.delivery_prefix]
}

run "an_alias" {
  command = plan

  variables {
    cmk_arns = ["arn:aws:kms:eu-central-1:888877776666:alias/strongroom"]
  }
  expect_failures = [var.cmk_arns]
}

run "trust_for_nobody" {
  command = plan

  variables {
    trust = { nosuch = "{}" }
  }
  expect_failures = [var.trust]
}

run "trust_for_a_process" {
  command = plan

  variables {
    trust = { backup = "{}" }
  }
  assert {
    condition     = aws_iam_role.process["backup"].assume_role_policy == "{}"
    error_message = "The role has another trust policy than the given one."
  }
}
