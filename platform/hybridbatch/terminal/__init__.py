"""What a person sees in the terminal: the live table, plans, states, messages."""
