"""When markets trade."""
