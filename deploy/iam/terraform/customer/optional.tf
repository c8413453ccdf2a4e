# Generated from ../../table.py.
locals {
  present = {
    OnlyThroughEndpoint = length(var.vpc_endpoints) > 0
  }
}
