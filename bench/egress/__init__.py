"""What sandboxes and their egress cost, beside what others take for the same."""
