"""Is this machine fit to run ranks? If not, which command mends it? What `minipar doctor` shows, as data."""
