"""The versioned copy of the weights in Redis."""
