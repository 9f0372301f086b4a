"""Dashboards of Grafana as code: one module a dashboard, on the vocabulary of `board`."""
