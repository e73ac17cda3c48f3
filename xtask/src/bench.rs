//! `cargo xtask bench`: the same kernels on hako, QEMU (TCG) and Bochs, in turns, minima of CPU time, ratios; whole runs;
//! virtio disks.

mod disk;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use clap::Args;

use crate::measure::{Cost, cost};
use crate::{Outcome, tools};

/// Options of `bench`.
#[derive(Args)]
pub struct Options {
    /// Rounds over all monitors; the minimum counts
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Only kernels whose name contains this
    #[arg(long, default_value = "")]
    filter: String,
}

/// A kernel of benches/kernels and how often it runs its operation.
struct Kernel {
    name: &'static str,
    iterations: u64,
    /// Guest instructions per iteration where they are constant, for MIPS.
    instructions: Option<u64>,
    what: &'static str,
}

const fn kernel(
    name: &'static str,
    iterations: u64,
    instructions: Option<u64>,
    what: &'static str,
) -> Kernel {
    Kernel { name, iterations, instructions, what }
}

const KERNELS: &[Kernel] = &[
    kernel("compute", 40_000, Some(7_400), "list, matrix, CRC, state machine"),
    kernel("memory", 4_000, None, "64 KiB by rep movsq and by a loop"),
    kernel("branchy", 3_000_000, Some(16), "call through a table, jump through a table"),
    kernel("newpage", 3_000_000, Some(3), "dependent load, new page each time"),
    kernel("faults", 400_000, Some(8), "page fault + iretq + retry"),
    kernel("interrupts", 600_000, Some(4), "int + iretq in ring 0"),
    kernel("cr3", 60_000, Some(68), "CR3 reload + touch 16 pages"),
    kernel("ports", 4_000_000, Some(3), "out to a port"),
    kernel("cold", 40_000, Some(60), "new 12-instruction function, called once"),
    kernel("patch", 60_000, Some(8), "self-modifying code: patch and call"),
];

/// What runs an image.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Monitor {
    Hako,
    Qemu,
    Bochs,
}

impl Monitor {
    const ALL: [Monitor; 3] = [Monitor::Hako, Monitor::Qemu, Monitor::Bochs];

    fn command(self, hako: &Path, image: &Path) -> Result<Command, String> {
        Ok(match self {
            Monitor::Hako => {
                let mut c = Command::new(hako);
                c.args(["run", "--engine", "soft", "--serial", "none"]).arg(image);
                c
            }
            Monitor::Qemu => {
                let mut c = Command::new("qemu-system-x86_64");
                c.args([
                    "-accel", "tcg", "-m", "64", "-display", "none", "-serial", "none", "-monitor", "none",
                ]);
                c.args(["-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-drive"]);
                c.arg(format!("format=raw,file={}", image.display()));
                c
            }
            Monitor::Bochs => {
                let config = image.with_extension("bochsrc");
                let script = image.with_extension("rc");
                let log = image.with_extension("log");
                let text = format!(
                    "display_library: term\nmegs: 64\n\
                     cpu: model=corei7_haswell_4770, ips=50000000, reset_on_triple_fault=0\nclock: sync=none\n\
                     romimage: file={}\nvgaromimage: file={}\n\
                     ata0-master: type=disk, path={}, mode=flat, cylinders=2, heads=16, spt=63\n\
                     boot: disk\nlog: {}\npanic: action=fatal\n",
                    tools::BOCHS_BIOS.what,
                    tools::BOCHS_VGA.what,
                    image.display(),
                    log.display(),
                );
                write(&config, text.as_bytes())?;
                write(&script, b"c\n")?;
                let mut c = Command::new("bochs-bin");
                c.env("TERM", "vt100").arg("-q").arg("-f").arg(config).arg("-rc").arg(script);
                c
            }
        })
    }
}

fn write(path: &Path, bytes: &[u8]) -> Outcome {
    fs::write(path, bytes).map_err(|why| format!("{}: {why}", path.display()))
}

/// Assembles a kernel with its number of iterations into a disk image that every monitor boots.
fn image(dir: &Path, name: &str, iterations: u64) -> Result<PathBuf, String> {
    let source = tools::root().join("benches/kernels");
    let object = dir.join(format!("{name}-{iterations}.o"));
    let image = dir.join(format!("{name}-{iterations}.img"));
    let mut assemble = Command::new("as");
    assemble.arg("-I").arg(&source).arg("--defsym").arg(format!("ITERATIONS={iterations}"));
    tools::run(assemble.arg("-o").arg(&object).arg(source.join(format!("{name}.s"))))?;
    let mut link = Command::new("ld");
    link.args(["-Ttext", "0x7c00", "--oformat", "binary", "-e", "start", "-o"]);
    tools::run(link.arg(&image).arg(&object))?;
    // Two cylinders of 16 heads and 63 sectors, the geometry that Bochs is told.
    let mut bytes = fs::read(&image).map_err(|why| format!("{}: {why}", image.display()))?;
    bytes.resize(2 * 16 * 63 * 512, 0);
    write(&image, &bytes)?;
    Ok(image)
}

/// Runs `bench`.
pub fn run(options: &Options) -> Outcome {
    tools::ensure(&[
        tools::BINUTILS,
        tools::SEABIOS,
        tools::QEMU,
        tools::BOCHS,
        tools::BOCHS_TERM,
        tools::BOCHS_BIOS,
        tools::BOCHS_VGA,
    ])?;
    let hako = tools::hako()?;
    let dir = tools::target().join("bench");
    fs::create_dir_all(&dir).map_err(|why| format!("{}: {why}", dir.display()))?;
    kernels(options, &hako, &dir)?;
    whole_runs(options, &hako, &dir)?;
    disk::run(options.rounds, &options.filter, &hako, &dir)
}

/// The table of kernels.
fn kernels(options: &Options, hako: &Path, dir: &Path) -> Outcome {
    println!(
        "ns of CPU time per operation (minimum of {} rounds, the frame's own time subtracted)",
        options.rounds
    );
    println!(
        "{:12} {:>10} {:>10} {:>10} {:>9} {:>9}  operation",
        "kernel", "hako", "qemu", "bochs", "qemu/hako", "bochs/hako"
    );
    for k in KERNELS.iter().filter(|k| k.name.contains(&options.filter)) {
        let images = [image(dir, k.name, 0)?, image(dir, k.name, k.iterations)?];
        let mut best: [[Option<Cost>; 2]; 3] = [[None; 2]; 3];
        for _ in 0..options.rounds {
            for (m, monitor) in Monitor::ALL.into_iter().enumerate() {
                for (i, image) in images.iter().enumerate() {
                    let (c, status) = cost(&mut monitor.command(hako, image)?)?;
                    // 0x10 on the debug-exit port ends hako and QEMU with 33; Bochs always ends with 1.
                    if monitor != Monitor::Bochs && status.code() != Some(33) {
                        return Err(format!("kernel {} did not finish: {status}", k.name));
                    }
                    best[m][i] = Some(best[m][i].map_or(c, |b| b.min(c)));
                }
            }
        }
        let per = |m: usize| match best[m] {
            [Some(base), Some(full)] => {
                full.cpu.saturating_sub(base.cpu).as_nanos() as f64 / k.iterations as f64
            }
            _ => f64::NAN,
        };
        let (h, q, b) = (per(0), per(1), per(2));
        let mips = k.instructions.map_or(String::new(), |n| format!(", {:.0} MIPS", n as f64 * 1000.0 / h));
        println!(
            "{:12} {h:>10.1} {q:>10.1} {b:>10.1} {:>9.2} {:>9.2}  {}{mips}",
            k.name,
            q / h,
            b / h,
            k.what
        );
    }
    Ok(())
}

/// Whole runs: what a user waits for.
fn whole_runs(options: &Options, hako: &Path, dir: &Path) -> Outcome {
    let base = image(dir, "ports", 0)?;
    let halt = dir.join("halt.bin");
    write(&halt, &[0xf4])?;
    let mut rows: Vec<(&str, Command)> = Vec::new();
    let mut row = |what, program: &Path, args: &[&str], file: Option<&Path>| {
        let mut c = Command::new(program);
        c.args(args).args(file);
        rows.push((what, c));
    };
    row("/bin/true", Path::new("/bin/true"), &[], None);
    row(
        "bare, kvm, 128 MiB, halts at once",
        hako,
        &["run", "--engine", "kvm", "--machine", "bare", "--memory", "128M"],
        Some(&halt),
    );
    row(
        "bare, soft, 128 MiB, halts at once",
        hako,
        &["run", "--engine", "soft", "--machine", "bare", "--memory", "128M"],
        Some(&halt),
    );
    row("builtin firmware + MBR, soft", hako, &["run", "--engine", "soft"], Some(&base));
    row("SeaBIOS + MBR, soft", hako, &["run", "--engine", "soft", "--firmware", "seabios"], Some(&base));
    rows.push(("SeaBIOS + MBR, QEMU TCG", Monitor::Qemu.command(hako, &base)?));
    println!("\n{:36} {:>9} {:>9} {:>10}", "whole process", "CPU ms", "wall ms", "peak KiB");
    for (what, command) in &mut rows {
        let mut best = cost(command)?.0;
        for _ in 0..options.rounds * 5 {
            best = best.min(cost(command)?.0);
        }
        println!("{what:36} {:>9.2} {:>9.2} {:>10}", ms(best.cpu), ms(best.wall), best.peak_kib);
    }
    throughput(hako, dir)
}

/// Tests per second: the print-A sector, its screen asserted, 64 MiB, in one process on one core.
fn throughput(hako: &Path, dir: &Path) -> Outcome {
    const REPEAT: u32 = 20_000;
    let tests = dir.join("print-a");
    fs::create_dir_all(&tests).map_err(|why| format!("{}: {why}", tests.display()))?;
    // mov ax, 0x0e41; int 0x10; cli; hlt
    let mut sector = vec![0xb8, 0x41, 0x0e, 0xcd, 0x10, 0xfa, 0xf4];
    sector.resize(510, 0);
    sector.extend([0x55, 0xaa]);
    write(&tests.join("print-a.bin"), &sector)?;
    write(
        &tests.join("print-a.hako.toml"),
        b"image = \"print-a.bin\"\nengines = \"soft\"\n\n[[step]]\nexpect.screen = \"A\"\n",
    )?;
    let test = |repeat: u32| {
        let mut c = Command::new(hako);
        c.args(["test", "--jobs", "1", "--repeat", &repeat.to_string()]).arg(&tests);
        cost(&mut c)
    };
    let (one, status) = test(1)?;
    if !status.success() {
        return Err(format!("the print-A test failed: {status}; see {}", tests.display()));
    }
    let one = (0..10).try_fold(one, |best, _| Ok::<_, String>(best.min(test(1)?.0)))?;
    let many = test(REPEAT)?.0;
    let each = many.cpu.saturating_sub(one.cpu) / REPEAT;
    println!(
        "\nboot-sector tests on soft, one core: {:.0} per second; a single one {:.2} ms of CPU from start to verdict",
        1.0 / each.as_secs_f64(),
        ms(one.cpu)
    );
    Ok(())
}

fn ms(d: Duration) -> f64 {
    d.as_secs_f64() * 1000.0
}
