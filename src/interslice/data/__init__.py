"""Where volumes come from and what is done to them before any method sees them."""
