"""What several methods share: networks, patches and base classes."""
