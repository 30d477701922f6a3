"""Build everything once and run it: the one place where the parts are wired together."""
