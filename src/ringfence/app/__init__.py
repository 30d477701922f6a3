"""Build everything once and run it: the one place where the parts are wired together.

Imports every floor below. Read `stores` (what is opened on disk), `configuration` (from files to an
epoch), `worker` (the data plane of one process), `plane` (all of it, running), `stopped` (the
control plane's functions on a plane that is not running). Several workers: `group`, `embedded` (the
one worker in the plane's process), `supervisor`, `worker_pool`, `worker_process`, `message`.
Several planes: `sharing`, `hearing`.
"""
