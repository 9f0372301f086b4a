"""Rules that every declared resource must obey: one source, used with both engines."""
