"""A trained model as files that work without kerastl: `export` writes, reloads, compares, and only then keeps."""
