"""The frozen words that every other floor shares; pure data, no behaviour that waits.

Imports nothing of Ringfence and nothing that reads a clock, a disk or a socket.

Read in this order: `money`, `budget`, `agent`, `organisation`, `credential`, `invocation`,
`exchange`, `action`, `verdict`, `usage`, `price`, `event`.
"""
