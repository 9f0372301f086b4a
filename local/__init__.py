"""What stands in for infrastructure on one machine: a cluster, an engine, images."""
