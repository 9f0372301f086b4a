"""When it changes: the `slipway` command, on the Automation API."""
