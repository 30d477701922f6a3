"""The doors that agents go through; each translates a protocol and holds no rules."""
