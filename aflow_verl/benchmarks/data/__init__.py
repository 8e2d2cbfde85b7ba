"""Official data sets -> prepared folders with fixed splits."""
