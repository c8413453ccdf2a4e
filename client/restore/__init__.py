"""Restoring: opener processes turn parcels into files in a staging folder; the command puts them in place."""
