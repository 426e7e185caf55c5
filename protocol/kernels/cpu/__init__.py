"""The native fold engine; read `node.h`, `plan.h`, `block.h`, `engine.cpp` in this order."""
