"""What a network is: layers, the graph of floats, the graph of integers, and its file."""
