"""Keep and query records, one backend per module."""
