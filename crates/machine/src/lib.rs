//! A board, an engine and memory, ready to run: builder, run loop, backends, reports.
