"""Many runs compared: planned, done once each, put into a table, shown."""
