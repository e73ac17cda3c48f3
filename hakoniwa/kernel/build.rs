//! Links as the kernel.

fn main() {
    hakoniwa_link::kernel();
}
