//! Small guest programs of our own, each a test case and an example.
