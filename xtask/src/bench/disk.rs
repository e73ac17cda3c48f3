//! Virtio disks: reading in sequence and all over the disk, by a driver of our own on every engine, and by Linux's `dd`
//! where instructions are fast enough; beside QEMU's translator. And what a machine on kvm keeps resident.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use hako_guests::Guest;

use super::write;
use crate::Outcome;
use crate::guests::cache::Cache;
use crate::measure::{Cost, cost, resident};

/// The disk, all of which is read in sequence.
const MIB: u64 = 256;
/// Our driver reads in pieces of 256 KiB in sequence, or of 4 KiB.
const PIECES: u64 = MIB * 4;
const RANDOM: u64 = 4_000;
/// Guest RAM.
const MEMORY: &str = "256";

/// What a guest is run by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Monitor {
    Soft,
    Kvm,
    Qemu,
}

impl Monitor {
    const ALL: [Monitor; 3] = [Monitor::Soft, Monitor::Kvm, Monitor::Qemu];

    fn name(self) -> &'static str {
        match self {
            Monitor::Soft => "hako, soft",
            Monitor::Kvm => "hako, kvm",
            Monitor::Qemu => "QEMU, TCG",
        }
    }

    /// `kernel` with this command line, and `disk` on legacy virtio.
    fn command(
        self,
        hako: &Path,
        kernel: &Path,
        initrd: Option<&Path>,
        append: &str,
        disk: &Path,
    ) -> Command {
        let mut c;
        if self == Monitor::Qemu {
            c = Command::new("qemu-system-x86_64");
            c.args([
                "-accel",
                "tcg",
                "-display",
                "none",
                "-serial",
                "null",
                "-monitor",
                "none",
                "-no-reboot",
            ]);
            c.args(["-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-m", MEMORY, "-kernel"]);
            c.arg(kernel).arg("-append").arg(append);
            c.arg("-drive").arg(format!("if=none,id=d,format=raw,file={}", disk.display()));
            c.args(["-device", "virtio-blk-pci,drive=d,disable-modern=on,disable-legacy=off"]);
        } else {
            c = Command::new(hako);
            c.args([
                "run",
                "--engine",
                if self == Monitor::Soft { "soft" } else { "kvm" },
                "--serial",
                "none",
            ]);
            c.arg("--memory").arg(format!("{MEMORY}M")).arg(kernel).arg("--append").arg(append);
            c.arg("--disk").arg(format!("{},if=virtio-legacy", disk.display()));
        }
        if let Some(initrd) = initrd {
            c.arg(if self == Monitor::Qemu { "-initrd" } else { "--initrd" }).arg(initrd);
        }
        c
    }
}

/// A row: a guest that does something, and the same guest that does not.
struct Row {
    what: &'static str,
    kernel: PathBuf,
    initrd: Option<PathBuf>,
    base: String,
    full: String,
    /// How often it does it.
    times: u64,
    unit: &'static str,
    monitors: &'static [Monitor],
}

/// The table of disks, and the row of memory.
pub(super) fn run(rounds: u32, filter: &str, hako: &Path, dir: &Path) -> Outcome {
    let driver = dir.join("virtio-blk.elf");
    let image = Guest::named("virtio-blk").ok_or("there is no guest virtio-blk")?.image;
    write(&driver, image)?;
    let disk = dir.join("disk.img");
    // Written, so that reading is copying and not inventing zeros.
    write(&disk, &vec![0x5a; (MIB << 20) as usize])?;
    let own = |what, kind: char, times, unit| Row {
        what,
        kernel: driver.clone(),
        initrd: None,
        base: format!("={kind}0"),
        full: format!("={kind}{times}"),
        times,
        unit,
        monitors: &Monitor::ALL,
    };
    let mut rows = vec![
        own("own driver, 256 MiB in sequence", 's', PIECES, "256 KiB"),
        own("own driver, 4 KiB at random", 'r', RANDOM, "4 KiB"),
    ];
    rows.extend(linux());
    println!("\n{:34} {:12} {:>14} {:>12}", "virtio-blk, CPU time", "", "us/request", "MiB/s");
    for row in rows.iter().filter(|row| row.what.contains(filter)) {
        let mut best: Vec<[Option<Cost>; 2]> = vec![[None; 2]; row.monitors.len()];
        for _ in 0..rounds {
            for (monitor, best) in row.monitors.iter().zip(&mut best) {
                for (append, best) in [&row.base, &row.full].into_iter().zip(best) {
                    let initrd = row.initrd.as_deref();
                    let (c, status) = cost(&mut monitor.command(hako, &row.kernel, initrd, append, &disk))?;
                    if !matches!(status.code(), Some(0 | 33)) {
                        return Err(format!("{} on {} did not finish: {status}", row.what, monitor.name()));
                    }
                    *best = Some(best.map_or(c, |b| b.min(c)));
                }
            }
        }
        for (monitor, best) in row.monitors.iter().zip(best) {
            let [Some(base), Some(full)] = best else { continue };
            let each = full.cpu.saturating_sub(base.cpu).as_secs_f64() / row.times as f64;
            let kib: f64 = if row.unit == "4 KiB" { 4.0 } else { 256.0 };
            println!(
                "{:34} {:12} {:>14.2} {:>12.0}",
                row.what,
                monitor.name(),
                each * 1e6,
                kib / 1024.0 / each
            );
        }
    }
    memory(hako, &driver, &disk)
}

/// Debian's cloud kernel, where it is prepared (`cargo xtask guests cloud`).
fn linux() -> Option<Row> {
    let cloud = Cache::open().ok()?.path("cloud");
    let (kernel, initrd) = (cloud.join("vmlinux"), cloud.join("initramfs.cpio"));
    if !kernel.exists() || !initrd.exists() {
        println!("(Linux is not there: cargo xtask guests cloud)");
        return None;
    }
    let command = |run: &str| format!("console=ttyS0 quiet panic=-1 run={run}");
    Some(Row {
        what: "Linux, dd of 256 MiB",
        kernel,
        initrd: Some(initrd),
        base: command("true"),
        full: command("dd+if=/dev/vda+of=/dev/null+bs=256k"),
        times: PIECES,
        unit: "256 KiB",
        monitors: &[Monitor::Soft, Monitor::Qemu],
    })
}

/// What is resident of a machine on kvm besides the guest's memory.
fn memory(hako: &Path, driver: &Path, disk: &Path) -> Outcome {
    let mut command = Monitor::Kvm.command(hako, driver, None, "=r2000", disk);
    let own = resident(&mut command)?;
    println!(
        "\nresident on kvm, {MEMORY} MiB, disk in use, less the guest's memory: {own} KiB at most (goal 8192)"
    );
    fs::remove_file(disk).map_err(|why| format!("{}: {why}", disk.display()))
}
