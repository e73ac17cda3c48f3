//! What is a hang and what is not.

mod common;

use std::time::Duration;

use common::mbr;
use hako_machine::{ClockKind, Ended, EngineChoice, Machine, Outcome};

fn run(code: &[u8], limit: u64) -> Outcome {
    let mut m = Machine::builder()
        .engine(EngineChoice::Soft)
        .clock(ClockKind::Virtual)
        .image(mbr(code))
        .detect_hang(true)
        .ns_per_instruction(200)
        .timeout(Duration::from_secs(limit))
        .build()
        .unwrap();
    m.run()
}

fn hangs(code: &[u8]) {
    let outcome = run(code, 4);
    assert!(matches!(outcome.ended, Ended::Hang(_)), "{:?} after {:?}", outcome.ended, outcome.count);
    assert!(outcome.time.0 < 3_000_000_000, "found only after {:?}", outcome.time);
}

fn waits(code: &[u8]) {
    let outcome = run(code, 1);
    assert_eq!(outcome.ended, Ended::Timeout, "after {:?}", outcome.time);
}

#[test]
fn a_jump_to_itself_with_interrupts_off() {
    hangs(&[0xfa, 0xeb, 0xfe]);
}

#[test]
fn a_jump_to_itself_with_interrupts_on() {
    hangs(&[0xfb, 0xeb, 0xfe]);
}

#[test]
fn a_loop_of_many_instructions() {
    // cli; l: mov cx, 1000; loop $; jmp l
    hangs(&[0xfa, 0xb9, 0xe8, 0x03, 0xe2, 0xfe, 0xeb, 0xf9]);
}

#[test]
fn a_loop_that_writes_the_same_again_and_again() {
    // l: push ax; pop ax; jmp l
    hangs(&[0x50, 0x58, 0xeb, 0xfc]);
}

#[test]
fn halting_for_ever_with_interrupts_on() {
    // sti; l: hlt; jmp l
    hangs(&[0xfb, 0xf4, 0xeb, 0xfd]);
}

#[test]
fn polling_a_keyboard_whose_keys_cannot_come() {
    // l: in al, 0x64; test al, 1; jz l
    hangs(&[0xe4, 0x64, 0xa8, 0x01, 0x74, 0xfa]);
}

#[test]
fn polling_com1_whose_bytes_cannot_come() {
    // mov dx, 0x3fd; l: in al, dx; test al, 1; jz l
    hangs(&[0xba, 0xfd, 0x03, 0xec, 0xa8, 0x01, 0x74, 0xfb]);
}

#[test]
fn waiting_for_a_key_by_int_16h() {
    hangs(&[0xb4, 0x00, 0xcd, 0x16, 0xfa, 0xf4]);
}

#[test]
fn asking_for_a_key_by_int_16h_again_and_again() {
    // l: mov ah, 1; int 0x16; jz l
    hangs(&[0xb4, 0x01, 0xcd, 0x16, 0x74, 0xfa]);
}

#[test]
fn halting_with_interrupts_off_is_no_hang_but_the_end() {
    assert_eq!(run(&[0xfa, 0xf4], 4).ended, Ended::HaltedForGood);
}

#[test]
fn polling_the_clock_is_waiting() {
    // l: mov al, 0; out 0x70, al; in al, 0x71; jmp l
    waits(&[0xb0, 0x00, 0xe6, 0x70, 0xe4, 0x71, 0xeb, 0xf8]);
}

#[test]
fn polling_the_clocks_data_alone_is_waiting() {
    // mov al, 0x80; out 0x70, al; l: in al, 0x71; cmp al, 0xff; jne l
    waits(&[0xb0, 0x80, 0xe6, 0x70, 0xe4, 0x71, 0x3c, 0xff, 0x75, 0xfa]);
}

#[test]
fn polling_the_timer_is_waiting() {
    // l: in al, 0x40; xor al, al; jmp l
    waits(&[0xe4, 0x40, 0x30, 0xc0, 0xeb, 0xfa]);
}

#[test]
fn polling_refresh_or_retrace_is_waiting() {
    waits(&[0xe4, 0x61, 0x30, 0xc0, 0xeb, 0xfa]);
    waits(&[0xba, 0xda, 0x03, 0xec, 0x30, 0xc0, 0xeb, 0xfb]);
}

#[test]
fn reading_the_time_stamp_counter_is_waiting() {
    // l: rdtsc; xor eax, eax; xor edx, edx; jmp l
    waits(&[0x0f, 0x31, 0x66, 0x31, 0xc0, 0x66, 0x31, 0xd2, 0xeb, 0xf6]);
}

#[test]
fn looking_at_the_tick_count_is_waiting() {
    // sti; l: cmp word [0x46e], 0x7fff; jne l
    waits(&[0xfb, 0x81, 0x3e, 0x6e, 0x04, 0xff, 0x7f, 0x75, 0xf8]);
    // sti; l: hlt; cmp word [0x46e], 0x7fff; jne l
    waits(&[0xfb, 0xf4, 0x81, 0x3e, 0x6e, 0x04, 0xff, 0x7f, 0x75, 0xf7]);
}

#[test]
fn asking_int_1ah_for_the_ticks_is_waiting() {
    // l: mov ah, 0; int 0x1a; cmp cx, 0x7fff; jne l
    waits(&[0xb4, 0x00, 0xcd, 0x1a, 0x81, 0xf9, 0xff, 0x7f, 0x75, 0xf6]);
}

#[test]
fn a_hooked_tick_is_waiting() {
    // mov word [0x70], 0x7c20; mov word [0x72], 0; sti; jmp $   and an IRET at 7c20
    let mut code =
        vec![0xc7, 0x06, 0x70, 0x00, 0x20, 0x7c, 0xc7, 0x06, 0x72, 0x00, 0x00, 0x00, 0xfb, 0xeb, 0xfe];
    code.resize(0x20, 0x90);
    code.push(0xcf);
    waits(&code);
}

#[test]
fn a_wait_by_int_15h_ends() {
    // mov cx, 1; mov dx, 0; mov ah, 0x86; int 0x15; cli; hlt
    let code = [0xb9, 0x01, 0x00, 0xba, 0x00, 0x00, 0xb4, 0x86, 0xcd, 0x15, 0xfa, 0xf4];
    assert_eq!(run(&code, 4).ended, Ended::HaltedForGood);
}

#[test]
fn counting_in_registers_is_work() {
    // xor ecx, ecx; l: inc ecx; cmp ecx, 3000000; jne l; cli; hlt
    let code =
        [0x66, 0x31, 0xc9, 0x66, 0x41, 0x66, 0x81, 0xf9, 0xc0, 0xc6, 0x2d, 0x00, 0x75, 0xf5, 0xfa, 0xf4];
    assert_eq!(run(&code, 4).ended, Ended::HaltedForGood);
}
