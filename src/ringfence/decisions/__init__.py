"""Pure verdicts on what may happen next: scope, price, budget, limits, grouping.

Imports `domain` alone, and Cedar when it is asked; never waits, reads no clock, writes nothing.
What changes over time (`Book`, `Groups`, `Rate`) is fed facts and gives values, and belongs to one
thread.

Read in this order: `window`, `budget`, `charge`, `price`, `input_bound`, `output_limit`,
`settlement`, `scope`, `policy`, `model_call`, `limit`, `rate`, `grouping`, `reason`.
"""
