"""How everything here reaches the outside: Kubernetes, registries, stack files, other programs. Imports no other room."""
