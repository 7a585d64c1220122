"""What a run leaves, and how runs are judged: everything here reads run directories, never live objects."""
