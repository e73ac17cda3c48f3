//! The system half of the CPU: protection, transfers of control, events, tasks, debugging, system registers.

mod machine;

mod debug;
mod far;
mod features;
mod fpu;
mod init;
mod interrupts;
mod iret;
mod keys;
mod long;
mod protection;
mod registers;
mod segments;
mod state;
mod system;
mod task;
mod user;
mod v86;
