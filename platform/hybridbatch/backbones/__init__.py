"""Backbones, one file each: tokenizer and encoder of a dual encoder with shared weights."""
