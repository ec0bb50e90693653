"""What a potential is worth: errors, material properties, and the figures that show them."""
