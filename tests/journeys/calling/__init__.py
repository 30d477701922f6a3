"""Real clients that call tools of real servers through the plane (docs/journeys.md)."""
