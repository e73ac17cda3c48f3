use super::*;

fn error(text: &str) -> String {
    match Spec::parse(text, "t.hako.toml") {
        Ok(_) => panic!("accepted: {text}"),
        Err(e) => {
            assert_eq!(e.status(), 2);
            e.to_string()
        }
    }
}

#[test]
fn the_smallest_test_is_an_image_and_a_step() {
    let spec = Spec::parse("image = \"mbr.bin\"\n[[step]]\nexpect.screen = \"A\"\n", "t").unwrap();
    assert_eq!(spec.steps, [Step::Expect(Channel::Screen, "A".into(), None)]);
    assert_eq!(spec.machine, MachineKind::Pc);
    assert_eq!(spec.limit, Duration::from_secs(10));
    assert_eq!(spec.debug_exit, Some(0xf4));
    assert!(spec.finals.is_none());
}

#[test]
fn machine_options_are_called_as_on_the_command_line() {
    let spec = Spec::parse(
        r#"
        engines = ["soft", "kvm"]
        firmware = "seabios"
        memory = "16M"
        disk = [{ path = "a.img", size = "1M", readonly = true }, "b.img"]
        cdrom = "c.iso"
        boot = ["cdrom", "disk"]
        debug-exit = "none"
        no-reboot = true
        triple-fault = "reset"
        limit = "2s"
        [final]
        exit = "power-off"
        "#,
        "t",
    )
    .unwrap();
    assert_eq!(spec.engines, [EngineChoice::Soft, EngineChoice::Kvm]);
    assert_eq!(spec.firmwares, [FirmwareChoice::SeaBios]);
    assert_eq!(spec.memory, Some(16 << 20));
    assert_eq!((spec.disks.len(), spec.disks[0].readonly), (2, true));
    assert_eq!(spec.boot, [BootDevice::Cdrom, BootDevice::Disk]);
    assert_eq!((spec.debug_exit, spec.no_reboot), (None, true));
    assert_eq!(spec.limit, Duration::from_secs(2));
}

#[test]
fn steps_keep_their_order() {
    let spec = Spec::parse(
        r#"
        image = "x"
        [[step]]
        expect.serial = { regex = "log.n:" }
        within = "3s"
        [[step]]
        send.serial = "root\n"
        [[step]]
        wait = "10ms"
        [[step]]
        send.keys = "a"
        "#,
        "t",
    )
    .unwrap();
    let within = Some(Duration::from_secs(3));
    assert_eq!(spec.steps[0], Step::Expect(Channel::Com(0), Pattern::regex("log.n:").unwrap(), within));
    assert_eq!(spec.steps[1], Step::Send(Inlet::Com(0), b"root\n".to_vec()));
    assert_eq!(spec.steps[2], Step::Wait(Duration::from_millis(10)));
    assert!(matches!(&spec.steps[3], Step::SendKeys(keys) if keys.len() == 2));
}

#[test]
fn the_end_can_be_examined() {
    let spec = Spec::parse(
        r#"
        image = "x"
        [final]
        exit = "debug-exit"
        status = 33
        registers = { RAX = 0x2a, cr0 = "0xffffffffffffffff" }
        memory = { at = 0x500, bytes = "de ad" }
        disk = [{ sector = 1, text = "hi" }, { disk = 1, sector = 2, written = false }]
        ports = { port = 0x80, value = 1 }
        serial = "bye"
        "#,
        "t",
    )
    .unwrap();
    let end = spec.finals.unwrap();
    assert_eq!((end.exit, end.status), (Some(Exit::DebugExit), Some(33)));
    assert_eq!(
        end.registers,
        [("rax".into(), 0x2a), ("cr0".into(), u64::MAX)].map(|(n, v): (String, u64)| (n, v))
    );
    assert_eq!(end.memory, [(0x500, vec![0xde, 0xad])]);
    assert_eq!(end.sectors[0].bytes.as_deref(), Some(&b"hi"[..]));
    assert_eq!(end.sectors[1], Sector { disk: 1, sector: 2, bytes: None, written: Some(false) });
    assert_eq!(end.ports, [(0x80, Some(1))]);
    assert_eq!(end.said, [(Channel::Com(0), "bye".into())]);
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_known_ones() {
    let e = error("image = \"x\"\nmemroy = \"64M\"\n");
    assert!(e.starts_with("t.hako.toml:2: "), "{e}");
    assert!(e.contains("memroy") && e.contains("memory"), "{e}");
}

#[test]
fn a_wrong_value_is_shown_with_its_line_and_a_right_one() {
    let e = error("image = \"x\"\n\nlimit = \"10\"\n[final]\n");
    assert!(e.starts_with("t.hako.toml:3: ") && e.contains("500ms"), "{e}");
    let e = error("image = \"x\"\n[[step]]\nexpect.serial = { regex = \"a(\" }\n");
    assert!(e.starts_with("t.hako.toml:3: ") && e.contains("regular expression"), "{e}");
    let e = error("image = \"x\"\n[final]\nexit = \"crash\"\n");
    assert!(e.starts_with("t.hako.toml:3: ") && e.contains("triple-fault"), "{e}");
    let e = error("image = 7\n[final]\n");
    assert!(e.starts_with("t.hako.toml:1: ") && e.contains("a path"), "{e}");
    let e = error("image = \"x\"\ndebug-exit = 70000\n[final]\n");
    assert!(e.starts_with("t.hako.toml:2: ") && e.contains("0xffff"), "{e}");
}

#[test]
fn broken_toml_is_shown_with_its_line() {
    assert!(error("image = \"x\"\n[[step]\n").starts_with("t.hako.toml:2: "));
}

#[test]
fn a_step_does_exactly_one_thing() {
    let e = error("image = \"x\"\n[[step]]\nwait = \"1s\"\nsend.keys = \"a\"\n");
    assert!(e.starts_with("t.hako.toml:2: ") && e.contains("exactly one"), "{e}");
    assert!(error("image = \"x\"\n[[step]]\n").contains("exactly one"));
    assert!(error("image = \"x\"\n[[step]]\nwait = \"1s\"\nwithin = \"1s\"\n").contains("expect"));
}

#[test]
fn something_must_be_expected_of_something() {
    assert!(error("image = \"x\"\n").contains("[[step]]"));
    assert!(error("[final]\nexit = \"halt\"\n").contains("image"));
}

#[test]
fn an_unknown_register_is_named() {
    let e = error("image = \"x\"\n[final]\nregisters = { raz = 1 }\n");
    assert!(e.contains("`raz`") && e.contains("rax"), "{e}");
}
