"""One file an operator: its Functions, how they are differentiated, and its functional form."""
