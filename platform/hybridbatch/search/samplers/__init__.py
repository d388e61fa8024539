"""Samplers, one file each: how the values of the next trial are chosen."""
