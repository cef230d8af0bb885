"""Training: the loop, what it draws, and the perceptual loss."""
