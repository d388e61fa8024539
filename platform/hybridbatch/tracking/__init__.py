"""Tracking: finished trial folders projected into MLflow runs. Nothing is ever read back from there."""
