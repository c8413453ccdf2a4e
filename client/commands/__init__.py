"""One module for each verb; `client.cli` imports only the one that is used."""
