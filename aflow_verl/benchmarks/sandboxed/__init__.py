"""What grading runs in the program sandbox: programs as source, and what warms the sandbox up for them."""
