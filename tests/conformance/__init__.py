"""Conversations over real sockets: what the client gets, what the model server reads, what is counted."""
