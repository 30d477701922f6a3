"""Doubles that ship with Ringfence, so that users can test their agents too."""
