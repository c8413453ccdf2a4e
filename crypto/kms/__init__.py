"""The KMS providers: how a data key is made, wrapped and unwrapped by a customer master key (CMK).

Only `workers.key_broker` may import this package; `import-linter` holds it. `admin` is the customer's own
console.
"""
