"""The maintenance role: check a repository, remove what ended jobs left. The only role that may delete."""
