"""Pruners, one file each: which trials are not worth their remaining steps."""
