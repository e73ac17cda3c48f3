//! `cargo xtask hakoniwa`: builds the microkernel, its boot archive and a GRUB disc, and runs or tests them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clap::{Subcommand, ValueEnum};

mod cost;
mod guests;
mod hostile;
mod line;

use guests::Guests;
use line::Line;

use crate::{Outcome, tools};

/// What to do with the microkernel.
#[derive(Subcommand)]
pub enum Action {
    /// Build the kernel, the servers, the boot archive and the GRUB disc
    Build,
    /// Build, then run on an emulator with the serial log on standard output
    Run {
        /// The emulator
        #[arg(long = "in", value_enum, default_value = "qemu")]
        place: Place,
        #[command(flatten)]
        guests: Box<Guests>,
    },
    /// Host tests of everything pure, the image's checks, then boots in QEMU and Bochs with their verdicts
    Test {
        /// Only this part
        #[arg(value_enum)]
        part: Option<Part>,
    },
}

/// Where the kernel runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Place {
    /// Multiboot, no VT-x
    Qemu,
    /// The same image by its PVH note
    QemuPvh,
    /// GRUB from a disc, with VT-x
    Bochs,
    /// hako's own CPU, Multiboot, no VT-x
    Hako,
}

/// A part of the test.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Part {
    /// Tests on this machine
    Host,
    /// The self test, everywhere
    Alone,
    /// Small guests of the hv server, in Bochs
    Guests,
    /// Linux guests, in Bochs, where they are prepared
    Linux,
    /// Linux on two processors and a shell, likewise
    Several,
}

/// Programs and the files of the archive, in order.
const SERVERS: [&str; 8] = ["init", "vm", "clock", "console", "hello", "hostile", "guests", "hv"];
/// The line that ends a run.
const VERDICT: &str = "hakoniwa: verdict: ";
/// How long a test's run may take on a busy machine; those of users end when the guests do.
const PATIENCE: Duration = Duration::from_secs(600);

const XORRISO: tools::Need = tools::Need { what: "xorriso", package: "xorriso" };

/// Runs an action.
pub fn run(action: &Action) -> Outcome {
    match action {
        Action::Build => build(&[]).map(|image| println!("{}", image.disc.display())),
        Action::Run { place, guests } => {
            let image = build(&guests.files()?)?;
            boot(&image, *place, Mode::Interactive).map(drop)
        }
        Action::Test { part } => test(*part),
    }
}

/// What `build` makes.
struct Image {
    dir: PathBuf,
    kernel: PathBuf,
    pvh: PathBuf,
    archive: PathBuf,
    disc: PathBuf,
}

fn source() -> PathBuf {
    tools::root().join("hakoniwa")
}

fn cargo(args: &[&str]) -> Outcome {
    eprintln!("xtask: cargo {} (in hakoniwa)", args.join(" "));
    let mut command = Command::new("cargo");
    // The workspace's own configuration counts, and no flags of the outer build.
    command.args(args).current_dir(source()).env("CARGO_TARGET_DIR", output()).env_remove("RUSTFLAGS");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("cargo {} ended with {status}", args.join(" "))),
        Err(why) => Err(format!("cargo did not start: {why}")),
    }
}

/// Apart from the root's target directory, so that the two builds never wait for each other.
fn output() -> PathBuf {
    tools::target().join("hakoniwa")
}

fn io<T>(what: &Path, result: std::io::Result<T>) -> Result<T, String> {
    result.map_err(|why| format!("{}: {why}", what.display()))
}

/// Builds everything; the archive gets these files too.
fn build(extra: &[guests::File]) -> Result<Image, String> {
    tools::ensure(&[tools::GRUB, tools::GRUB_TOOLS, XORRISO, tools::MTOOLS])?;
    compile()?;
    package(extra)
}

fn compile() -> Outcome {
    cargo(&["build", "--release", "--quiet"])
}

/// Puts what was compiled into images; the archive gets these files too.
fn package(extra: &[guests::File]) -> Result<Image, String> {
    let built = output().join("x86_64-unknown-linux-gnu/release");
    let dir = output().join("image");
    let boot = dir.join("disc/boot/grub");
    io(&boot, fs::create_dir_all(&boot))?;
    let image = Image {
        kernel: dir.join("disc/boot/hakoniwa"),
        pvh: dir.join("hakoniwa-pvh"),
        archive: dir.join("disc/boot/archive"),
        disc: dir.join("hakoniwa.iso"),
        dir,
    };
    let mut files = Vec::new();
    for server in SERVERS {
        let stripped = image.dir.join(server);
        strip(&built.join(server), &stripped)?;
        files.push((server.to_string(), io(&stripped, fs::read(&stripped))?));
    }
    files.push(("motd".to_string(), b"a garden in a box\n".to_vec()));
    files.extend_from_slice(extra);
    io(&image.archive, fs::write(&image.archive, archive(&files)))?;
    strip(&built.join("hakoniwa"), &image.kernel)?;
    red_zone(&built.join("hakoniwa"))?;
    // The same image without its Multiboot magic: what is left is the PVH note.
    let mut bytes = io(&image.kernel, fs::read(&image.kernel))?;
    let magic = bytes.windows(4).position(|w| w == 0x1bad_b002u32.to_le_bytes());
    let magic = magic.ok_or("the kernel has no Multiboot header")?;
    bytes[magic..magic + 4].fill(0);
    io(&image.pvh, fs::write(&image.pvh, bytes))?;
    let menu = "set timeout=0\nmenuentry hakoniwa {\n multiboot /boot/hakoniwa\n module /boot/archive\n}\n";
    io(&boot, fs::write(boot.join("grub.cfg"), menu))?;
    let mut rescue = Command::new("grub-mkrescue");
    rescue.args(["-d", "/usr/lib/grub/i386-pc", "--install-modules=multiboot iso9660 biosdisk", "-o"]);
    rescue.arg(&image.disc).arg(image.dir.join("disc")).stderr(Stdio::null()).stdout(Stdio::null());
    tools::run(&mut rescue)?;
    Ok(image)
}

fn strip(from: &Path, to: &Path) -> Outcome {
    tools::run(Command::new("strip").arg("-o").arg(to).arg(from))
}

/// The archive's format is in hakoniwa/abi/src/archive.rs: each file begins on a page.
fn archive(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    const PAGE: usize = 4096;
    let mut bytes = b"hakoniwa".to_vec();
    bytes.extend((files.len() as u64).to_le_bytes());
    let mut offset = (16 + files.len() * 48).next_multiple_of(PAGE);
    for (name, contents) in files {
        let mut padded = [0; 32];
        padded[..name.len().min(31)].copy_from_slice(&name.as_bytes()[..name.len().min(31)]);
        bytes.extend(padded);
        bytes.extend((offset as u64).to_le_bytes());
        bytes.extend((contents.len() as u64).to_le_bytes());
        offset = (offset + contents.len()).next_multiple_of(PAGE);
    }
    for (_, contents) in files {
        bytes.resize(bytes.len().next_multiple_of(PAGE), 0);
        bytes.extend(contents);
    }
    bytes.resize(bytes.len().next_multiple_of(PAGE), 0);
    bytes
}

/// Interrupts must not hit code that keeps data below its stack pointer. Our own code is compiled without red zones;
/// what the prebuilt library brings along must run on an interrupt stack: so every gate needs one, and no code of ours
/// may store below RSP. Lists stores below RSP in leaf code and refuses those in our own crates.
fn red_zone(kernel: &Path) -> Outcome {
    let listing =
        Command::new("objdump").args(["-d", "-M", "intel", "--no-show-raw-insn", "-C"]).arg(kernel).output();
    let listing = io(kernel, listing)?;
    let text = String::from_utf8_lossy(&listing.stdout);
    let mut function = "";
    let mut guilty = Vec::new();
    for line in text.lines() {
        if let Some((_, name)) = line.split_once('<').filter(|_| line.ends_with(">:")) {
            function = name.trim_end_matches(">:");
        }
        let below = line.contains("[rsp-0x") && !line.contains("lea ");
        let ours = function.contains("hakoniwa") && !function.contains("core::");
        if below && ours && guilty.last() != Some(&function) {
            guilty.push(function);
        }
    }
    if guilty.is_empty() {
        Ok(())
    } else {
        Err(format!("these functions use a red zone: {}", guilty.join(", ")))
    }
}

fn test(only: Option<Part>) -> Outcome {
    type Run = fn(&Image) -> Outcome;
    let start = Instant::now();
    let wanted = |part| only.is_none_or(|only| only == part);
    if wanted(Part::Host) {
        // The other members are bare metal through and through.
        cargo(&["test", "--quiet", "-p", "hakoniwa-abi", "-p", "hakoniwa-kernel", "--lib"])?;
    }
    let image = build(&[])?;
    let parts: [(Part, Run); 4] = [
        (Part::Alone, self_test),
        (Part::Guests, guest_test),
        (Part::Linux, linux_test),
        (Part::Several, several_test),
    ];
    for (_, run) in parts.iter().filter(|(part, _)| wanted(*part)) {
        run(&image)?;
    }
    eprintln!("xtask: hakoniwa's tests took {} s", start.elapsed().as_secs());
    Ok(())
}

/// The self test where there is VT-x and where there is none.
fn self_test(image: &Image) -> Outcome {
    let alone = ["[hello] Hello, World!", "[clock] verdict: ok", "[hostile] verdict: ok"];
    let without = [&alone[..], &["no guests: VT-x is missing"]].concat();
    let with = [
        &alone[..],
        &[
            "[guests] tour: 12 announcements, 100 halts, 102 interrupts",
            "VM entry refused: access rights have no reserved bit, but GuestCsAccess = 0xffff",
        ],
    ]
    .concat();
    let places =
        [(Place::Qemu, &without), (Place::QemuPvh, &without), (Place::Hako, &without), (Place::Bochs, &with)];
    for (place, needed) in places {
        judge("self test", place, &boot(image, place, Mode::Test(&[]))?, needed)?;
    }
    Ok(())
}

/// Small guests of one server, with input; hostile ones in another.
fn guest_test(image: &Image) -> Outcome {
    let read = |path: &Path| io(path, fs::read(path));
    let mut files = guests::samples(&read(&image.kernel)?, read(&image.archive)?);
    files.push(cost::file(&image.dir)?);
    files.extend(hostile::files(1, &image.dir)?);
    let log = boot(&package(&files)?, Place::Bochs, Mode::Test(&guests::SAMPLES_HEAR))?;
    let hostile = hostile::say();
    let needed: Vec<&str> =
        guests::SAMPLES_SAY.into_iter().chain(hostile.iter().map(String::as_str)).collect();
    judge("guests", Place::Bochs, &log, &needed)?;
    cost::judge(&log)
}

/// Linux, where it is prepared.
fn linux_test(_: &Image) -> Outcome {
    let Some(linux) = guests::linux()? else {
        eprintln!("xtask: no Linux guests: `cargo xtask guests disk --tiny-kernel` prepares them");
        return Ok(());
    };
    let log = boot(&package(&linux.files()?)?, Place::Bochs, Mode::Test(&[]))?;
    judge("two Linux guests", Place::Bochs, &log, &guests::LINUX_SAYS)
}

/// Linux on two processors, and a shell to type to.
fn several_test(_: &Image) -> Outcome {
    let Some((files, shell)) = guests::several()? else { return Ok(()) };
    let (typed, mut needed) = (&guests::SHELL_HEARS[..], guests::SEVERAL_SAY.to_vec());
    if shell {
        needed.extend(guests::SHELL_SAYS);
    }
    let log = boot(&package(&files)?, Place::Bochs, Mode::Test(typed))?;
    judge("Linux on two processors", Place::Bochs, &log, &needed)
}

/// The verdict, and what a run must have shown on the way.
fn judge(what: &str, place: Place, log: &str, needed: &[&str]) -> Outcome {
    let verdict = log.lines().find_map(verdict).map(str::trim);
    let missing = needed.iter().find(|n| !log.contains(**n));
    match (verdict, missing) {
        (Some("ok"), None) => {
            eprintln!("xtask: {what} in {place:?}: ok");
            Ok(())
        }
        _ => {
            eprintln!("{log}");
            Err(match (verdict, missing) {
                (Some("ok"), Some(line)) => format!("{what} in {place:?}: its log lacks: {line}"),
                (Some(other), _) => format!("{what} in {place:?}: verdict {other}"),
                (None, _) => format!("{what} in {place:?}: no verdict within {} s", PATIENCE.as_secs()),
            })
        }
    }
}

/// What a line of the log says of the whole run; a guest may print such a line as well, behind its name.
fn verdict(line: &str) -> Option<&str> {
    let line = line.trim_start();
    line.strip_prefix("[init] ").unwrap_or(line).strip_prefix(VERDICT)
}

/// Who sits at the serial line.
#[derive(Clone, Copy)]
enum Mode<'a> {
    /// The user: the log goes to standard output as it grows, standard input is what is typed, where the emulator's line
    /// takes input (Bochs's does).
    Interactive,
    /// Nobody, but for what is typed when the log has a text: each in its order.
    Test(&'a [guests::Typed]),
}

/// Boots and returns the serial log.
fn boot(image: &Image, place: Place, mode: Mode) -> Result<String, String> {
    let serial = image.dir.join(format!("{place:?}.log"));
    io(&serial, fs::write(&serial, ""))?;
    let line = Line::new(&serial)?;
    let mut command = match place {
        Place::Qemu => qemu(&image.kernel, image, &serial)?,
        Place::QemuPvh => qemu(&image.pvh, image, &serial)?,
        Place::Bochs => bochs(image, &line)?,
        Place::Hako => hako(image, &serial),
    };
    command.current_dir(&image.dir).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|why| format!("{command:?} did not start: {why}"))?;
    if matches!(mode, Mode::Interactive) {
        line.connect_input();
    }
    let log = watch(&mut child, &serial, &line, mode);
    // It may be gone already.
    let _ = child.kill();
    let _ = child.wait();
    log
}

/// Follows the log until its verdict, the emulator's end, or the end of patience.
fn watch(child: &mut Child, serial: &Path, line: &Line, mode: Mode) -> Result<String, String> {
    let start = Instant::now();
    let (mut shown, mut typed) = (0, 0);
    loop {
        let late = matches!(mode, Mode::Test(_)) && start.elapsed() > PATIENCE;
        let ended = late || !matches!(child.try_wait(), Ok(None));
        let log = String::from_utf8_lossy(&io(serial, fs::read(serial))?).into_owned();
        match mode {
            Mode::Interactive => {
                print!("{}", log.get(shown..).unwrap_or_default());
                shown = log.len();
            }
            Mode::Test(what) => {
                if let Some((when, text)) = what.get(typed).filter(|(when, _)| log.contains(when)) {
                    eprintln!("xtask: typing {text:?} because of {when:?}");
                    line.send(text.as_bytes());
                    typed += 1;
                }
            }
        }
        let verdict = log.lines().any(|l| verdict(l).is_some()) && log.ends_with('\n');
        if ended || verdict {
            return Ok(log);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn qemu(kernel: &Path, image: &Image, serial: &Path) -> Result<Command, String> {
    tools::ensure(&[tools::QEMU])?;
    let mut command = Command::new("qemu-system-x86_64");
    command.args([
        "-accel",
        "tcg",
        "-cpu",
        "max",
        "-m",
        "512",
        "-display",
        "none",
        "-no-reboot",
        "-monitor",
        "none",
    ]);
    command.arg("-serial").arg(format!("file:{}", serial.display()));
    command.arg("-kernel").arg(kernel).arg("-initrd").arg(&image.archive);
    Ok(command)
}

fn hako(image: &Image, serial: &Path) -> Command {
    let mut command = Command::new("cargo");
    command
        .args(["run", "--quiet", "--package", "hako", "--manifest-path"])
        .arg(tools::root().join("Cargo.toml"));
    command.args(["--", "run", "--engine", "soft", "--clock", "virtual", "--memory", "512M", "--serial"]);
    command.arg(format!("file:{}", serial.display())).arg(&image.kernel).arg("--initrd").arg(&image.archive);
    command
}

fn bochs(image: &Image, line: &Line) -> Result<Command, String> {
    tools::ensure(&[tools::BOCHS, tools::BOCHS_TERM, tools::BOCHS_BIOS, tools::BOCHS_VGA])?;
    let settings = format!(
        "megs: 512\nromimage: file={}\nvgaromimage: file={}\nboot: cdrom\nata0: enabled=1\n\
         ata0-master: type=cdrom, path={}, status=inserted\ncom1: enabled=1, mode=socket-client, dev=localhost:{}\n\
         display_library: term\nclock: sync=none\nlog: bochs.log\n\
         cpu: model=corei7_haswell_4770, ips=50000000, reset_on_triple_fault=0\n",
        tools::BOCHS_BIOS.what,
        tools::BOCHS_VGA.what,
        image.disc.display(),
        line.port
    );
    let (file, script) = (image.dir.join("bochsrc"), image.dir.join("bochs.rc"));
    io(&file, fs::write(&file, settings))?;
    io(&script, fs::write(&script, "c\n"))?;
    let mut command = Command::new("bochs-bin");
    command.arg("-q").arg("-f").arg(file).arg("-rc").arg(script).env("TERM", "vt100");
    Ok(command)
}
