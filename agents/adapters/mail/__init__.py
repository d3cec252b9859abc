"""How reports leave."""
