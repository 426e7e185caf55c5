"""What an agent sees of the chain. In this order: `undo`, `book`, `trail`, `views`, `reader`."""
