"""How sure a sample's scores are: with other models and other answers they would be others."""
