"""The archs that keep limits: counted, drawn, ranked and changed without trying them."""
