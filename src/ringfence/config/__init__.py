"""Settings: read once from files and environment, checked as a whole, parsed into frozen types."""
