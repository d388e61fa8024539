"""The figures of a study, each with a caption that says what it shows."""
