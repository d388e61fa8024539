"""Data sets, one file each: training pairs and retrieval tasks from their public formats."""
