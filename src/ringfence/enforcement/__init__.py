"""For each action: gather facts, ask the decisions, carry out the verdict, record the event."""
