"""What runs on the other side of the fork: the zygote, and the program in its jail. Imports nothing but the library."""
