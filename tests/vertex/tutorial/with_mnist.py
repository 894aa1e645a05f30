"""`python with_mnist.py MNIST_FILE PROGRAM FLAG...`: runs a program whose Keras has MNIST already.

Keras checks what lies in its cache against the published file and loads that again from the
network. Its place is taken by a file of the test images here; the program is run as it is.
"""

import runpy
import sys

import keras.src.datasets.mnist as mnist

file, sys.argv = sys.argv[1], sys.argv[2:]
mnist.get_file = lambda *arguments, **options: file
runpy.run_path(sys.argv[0], run_name="__main__")
