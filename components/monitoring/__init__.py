"""What watches the environments of a cluster: the stack of kind `monitoring`."""
