"""`slipway serve`: answers alerts that ask for a rollback."""
