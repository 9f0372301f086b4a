"""What is declared: Pulumi component resources, one subject a file."""
