"""What the store stands on: tables, their migrations, two databases, and the repair of a damaged file."""
