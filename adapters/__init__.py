"""How everything here reaches the outside: Kubernetes, registries, stack files, programs. Imports no other room."""
