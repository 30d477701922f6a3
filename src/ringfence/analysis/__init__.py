"""Pure readings of what happened."""
