"""Measurements: how long, how much processor time and how many bytes a backup and a restore take, beside others."""
