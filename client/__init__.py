"""The `strongroom` command: it asks, shows, and opens what a restore delivers. It never holds a DEK."""
