"""How many workers and servers a training needs: measured briefly, then simulated."""
