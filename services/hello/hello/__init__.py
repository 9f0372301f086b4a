"""hello: the first service that Slipway delivers, and a template for the next ones."""
