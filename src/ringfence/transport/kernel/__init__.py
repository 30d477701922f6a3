"""What Linux offers to confine a process, called directly: no library, no compiler.

Reading order: `syscall` (numbers and calls), `bpf` (filters as pure values), `seccomp`, `landlock`,
`namespace`, `netlink`, `mount`, `memory` (another process's), `descriptor`. Importing any of them
works on every system; calling them needs Linux on x86_64 or aarch64.
"""
