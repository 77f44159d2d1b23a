"""How a submission is walled in: a process of its own that answers calls and decides nothing."""
