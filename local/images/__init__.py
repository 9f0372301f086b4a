"""OCI images made here, where no image registry can be reached."""
