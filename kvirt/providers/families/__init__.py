"""What several platforms share. A provider may import from here, and never from another provider."""
