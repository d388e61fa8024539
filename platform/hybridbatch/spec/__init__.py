"""The experiment file: from text to a frozen, validated experiment. Nothing else reads experiment files."""
