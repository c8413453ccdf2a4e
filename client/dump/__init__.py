"""What a restore delivers, as one stream: a file's content, or a folder as an archive."""
