"""The encoders themselves: what needs torch lies apart from the settings, which must be read in milliseconds."""
