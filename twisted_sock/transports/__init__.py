"""What lines travel on: each file opens sessions from one kind of connection."""
