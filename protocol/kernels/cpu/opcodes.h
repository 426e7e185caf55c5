// The scalar instruction set: one line per opcode, with the types of its arguments and result.
#pragma once

// PINPOINT_OPCODES(X): X(byte, name, argument types, result type)
#define PINPOINT_OPCODES(X)  \
  X(0x01, add, "FF", 'F')    \
  X(0x02, sub, "FF", 'F')    \
  X(0x03, mul, "FF", 'F')    \
  X(0x04, div, "FF", 'F')    \
  X(0x05, sqrt, "F", 'F')    \
  X(0x06, fma, "FFF", 'F')   \
  X(0x07, min, "FF", 'F')    \
  X(0x08, max, "FF", 'F')    \
  X(0x09, neg, "F", 'F')     \
  X(0x0a, abs, "F", 'F')     \
  X(0x0b, flt, "FF", 'I')    \
  X(0x0c, fle, "FF", 'I')    \
  X(0x0d, feq, "FF", 'I')    \
  X(0x0e, fsel, "IFF", 'F')  \
  X(0x0f, b2f, "I", 'F')     \
  X(0x10, i2f, "I", 'F')     \
  X(0x21, iadd, "II", 'I')   \
  X(0x22, isub, "II", 'I')   \
  X(0x23, imul, "II", 'I')   \
  X(0x24, imulhi, "II", 'I') \
  X(0x25, idiv, "II", 'I')   \
  X(0x26, irem, "II", 'I')   \
  X(0x27, iand, "II", 'I')   \
  X(0x28, ior, "II", 'I')    \
  X(0x29, ixor, "II", 'I')   \
  X(0x2a, ishl, "II", 'I')   \
  X(0x2b, ishr, "II", 'I')   \
  X(0x2c, isar, "II", 'I')   \
  X(0x2d, ilt, "II", 'I')    \
  X(0x2e, iult, "II", 'I')   \
  X(0x2f, ieq, "II", 'I')    \
  X(0x30, imin, "II", 'I')   \
  X(0x31, imax, "II", 'I')   \
  X(0x32, isel, "III", 'I')  \
  X(0x33, f2b, "F", 'I')     \
  X(0x34, f2i, "F", 'I')
