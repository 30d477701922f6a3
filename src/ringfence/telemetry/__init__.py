"""Logs and figures of a running plane; the record itself is the ledger's.

Imports `domain` only. Read `log` (one line for each fact), `metric` (counts and durations of one
worker), `prometheus` (their text form).
"""
