"""What an operator may write: frozen values, a loader and errors that name a place."""
