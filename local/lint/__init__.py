"""The linters that are no Python packages: of workflows, Dockerfiles and secrets; pinned, and built once a version."""
