"""`ringfence doctor`: `command` asks and tells, `examination` looks at one thing after another."""
