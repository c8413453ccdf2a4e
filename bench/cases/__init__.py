"""What is measured, one module a case; `bench.cases.all` lists them."""
