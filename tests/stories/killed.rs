use std::fs;
use offsite_tests::tree::{make_tree, mutate};
use offsite_tests::{Home, Lab, Mac};

#[test]
fn probe() {
    let lab = Lab::new();
    let home = Home::new(&lab);
    let Some(pi) = home.pi() else { return };
    make_tree(&home.source(), 7, 300_000);
    let _ = home.archive();
    mutate(&home.source(), 1);
    let _ = home.archive();
    let mac = Mac::new(&lab, &home.entry(&pi), &Mac::disk(&lab, "disk", ""), "keep: 2\n");
    let cmd = mac.cmd().arg("daemon").command();
    let mut s = std::process::Command::new("strace");
    s.args(["-f", "--seccomp-bpf", "-o", "/tmp/t2-strace.txt", "-e", "trace=fsync,fdatasync,renameat2,renameat,rename,linkat,unlinkat,mkdirat,mkdir,recvfrom,sendto,openat,write,pwrite64,futex"]);
    s.arg(cmd.get_program()).args(cmd.get_args());
    for (k, v) in cmd.get_envs() { if let Some(v) = v { s.env(k, v); } }
    let t = std::time::Instant::now();
    println!("{:?} {:?}", s.output().unwrap(), t.elapsed());
    let t = std::time::Instant::now();
    println!("{:?} {:?}", mac.offsite(&["daemon"]), t.elapsed());
    let t = std::time::Instant::now();
    println!("{:?} {:?}", mac.offsite(&["sync"]), t.elapsed());
    println!("{}", fs::read_to_string(mac.state().join("journal.jsonl")).unwrap());
}
