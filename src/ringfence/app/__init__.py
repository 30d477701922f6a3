"""Build everything once and run it: the one place where the parts are wired together.

Read `stores` (what is opened on disk), `configuration` (from files to an epoch), `worker` (the data
plane), `control` (what the control plane is given), `plane` (all of it, running), `stopped` (the
control plane's functions on a plane that is not running).
"""
