//! Links as a user task.

fn main() {
    hakoniwa_link::task();
}
