"""Who trains, who validates, who is tested: rules by name, and the three subsets with their hash."""
