"""Where hard negatives come from: one file for each registered source."""
