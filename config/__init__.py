"""Settings, queue names, policies: what every other package may read and none may change."""
