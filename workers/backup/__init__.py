"""The backup role: plan, segment, finalize. The only role that writes to a repository."""
