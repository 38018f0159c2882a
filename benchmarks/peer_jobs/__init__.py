"""What others make of the same job, each in a process of its own with their packages."""
