"""Pure verdicts on what may happen next: scope, price, budget, limits, grouping."""
