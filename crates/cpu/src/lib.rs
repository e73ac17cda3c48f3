//! The software x86-64 CPU: decoder, block cache, TLBs, interpreter.
