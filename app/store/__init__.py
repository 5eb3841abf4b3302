"""The parameter server's client: shards of parameters on Redis, and their twin in memory."""
