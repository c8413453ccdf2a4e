"""What a host remembers of a repository: only ever a copy, made again from the repository when it does not fit."""
