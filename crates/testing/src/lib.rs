//! The OS test runner: specs, steps, assertions, reports.
