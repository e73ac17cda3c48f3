//! The system half of the CPU: protection, transfers of control, events, tasks, debugging, system registers.

mod machine;

mod smoke;
