"""The seats of floating licenses, and who holds them."""
