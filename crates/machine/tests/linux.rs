//! Linux to its /sbin/init: kernels and a root disk from the cache of `cargo xtask guests`. Where the cache has them not,
//! the tests say so and pass.

mod common;

use std::path::PathBuf;
use std::time::Duration;

use common::{cached, pc};
use hako_machine::{Builder, ClockKind, DiskInterface, DiskSpec, Ended, EngineChoice, Machine};

fn machine(kernel: PathBuf, append: &str) -> Builder {
    pc(EngineChoice::Soft)
        .clock(ClockKind::Virtual)
        .timeout(Duration::from_secs(30))
        .image(kernel)
        .append(format!("console=ttyS0 {append}"))
}

fn root(path: PathBuf, interface: DiskInterface) -> DiskSpec {
    DiskSpec { snapshot: true, interface: Some(interface), ..path.into() }
}

/// Runs to the end, which a failing test prints.
fn serial(mut machine: Machine) -> (String, Ended) {
    let outcome = machine.run();
    (String::from_utf8_lossy(machine.serial()).into_owned(), outcome.ended)
}

#[test]
fn a_small_kernel_with_mp_tables_alone_runs_init_from_ext2_on_both_kinds_of_virtio_disk() {
    let (Some(kernel), Some(disk)) = (cached("tiny/up-mptable/vmlinux"), cached("disk/root.img")) else {
        return;
    };
    for interface in [DiskInterface::Virtio, DiskInterface::VirtioLegacy] {
        let m = machine(kernel.clone(), "root=/dev/vda1").acpi(false).disk(root(disk.clone(), interface));
        let (text, _) = serial(m.build().unwrap());
        assert!(text.contains("hello from /sbin/init") && text.contains("synced"), "{interface:?}: {text}");
    }
}

#[test]
fn all_three_entries_of_a_bzimage_lead_to_init() {
    let (Some(kernel), Some(disk)) = (cached("tiny/up-mptable/bzImage"), cached("disk/root.img")) else {
        return;
    };
    use hako_machine::Protocol::{Linux16, Linux32, Linux64};
    for protocol in [Linux64, Linux32, Linux16] {
        let m = machine(kernel.clone(), "root=/dev/vda1 quiet").acpi(false).protocol(protocol);
        let (text, _) = serial(m.disk(root(disk.clone(), DiskInterface::Virtio)).build().unwrap());
        assert!(text.contains("hello from /sbin/init"), "{protocol}: {text}");
    }
}

#[test]
fn linux_brings_up_its_cpus_and_switches_off_by_acpi() {
    let (Some(kernel), Some(disk)) = (cached("tiny/smp-acpi/vmlinux"), cached("disk/root.img")) else {
        return;
    };
    for cpus in [1, 2, 4] {
        let m = machine(kernel.clone(), "root=/dev/vda1").cpus(cpus);
        let (text, ended) = serial(m.disk(root(disk.clone(), DiskInterface::Virtio)).build().unwrap());
        let up = format!("Brought up 1 node, {cpus} CPU");
        assert!(text.contains(&up) && text.contains("hello from /sbin/init"), "{cpus} CPUs: {text}");
        assert_eq!(ended, Ended::PowerOff);
    }
}

#[test]
fn what_init_writes_is_in_the_image() {
    let (Some(kernel), Some(disk)) = (cached("tiny/up-mptable/vmlinux"), cached("disk/root.img")) else {
        return;
    };
    let copy = tempfile::NamedTempFile::new().unwrap();
    std::fs::copy(disk, copy.path()).unwrap();
    let m = machine(kernel, "root=/dev/vda1 rw quiet").acpi(false).disk(copy.path().to_path_buf());
    let (text, _) = serial(m.build().unwrap());
    assert!(text.contains("synced"), "{text}");
    let image = std::fs::read(copy.path()).unwrap();
    assert!(image.windows(13).any(|w| w == b"by the guest\n"), "the file's text is nowhere in the image");
}
