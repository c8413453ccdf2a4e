"""The restore role: plan, deliver, list. Reads a repository, writes parcels, cannot write a repository."""
