"""Where bars come from while the desk runs."""
