"""Runs the Pulumi program where no Pulumi CLI can be had.

`command.Engine` is given to the Automation API in place of the CLI. It runs the same program in a fresh process, with a
resource monitor of its own (`monitor`), plans by server-side dry run (`plan`), records what is intended (`journal`),
applies in the order of dependencies (`apply`, `order`) and deletes at last what is no longer declared (`prune`).
"""
