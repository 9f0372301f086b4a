"""Runs the Pulumi program where no Pulumi CLI can be had."""
