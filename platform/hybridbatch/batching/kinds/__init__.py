"""Batch kinds, one file each: which languages question and passage of a pair have (arXiv 2408.10536, 2004.05484)."""
