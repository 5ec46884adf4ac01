//! A Pi full of manifests that are refused, each for another reason, beside one good archive.

use std::fs;
use std::net::Ipv4Addr;

use offsite_archive::compress;
use offsite_tests::{Home, Lab, Link, Mac};

use super::{SIZE, make_tree};

/// Bytes of memory: a debug build takes 60 MB for the good archive alone, and what only one of them inflates to is twice this.
const MEMORY: u64 = 128 << 20;
/// Bytes of a night on which nothing is new: they are read again, as one of them may have been mended.
const CHEAP: u64 = 1 << 20;
const PEAK: &str = "import resource, subprocess, sys; code = subprocess.run(sys.argv[1:]).returncode; \
    print('peak', resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(code)";

#[test]
fn thirty_refused_manifests_are_all_named_and_cost_neither_memory_nor_the_good_archive() {
    let lab = Lab::new();
    let home = Home::new(&lab);
    let (Some(pi), Some(_)) = (home.pi(), lab.python()) else { return };
    make_tree(&home.source(), 7, SIZE);
    let archive = home.archive();
    let folder = home.pi_repository().join("manifests");
    let good = fs::read(folder.join(format!("{archive}.zst"))).unwrap();
    let bomb = compress(&vec![b'x'; 4 << 20], 3).unwrap().repeat(64);
    let mut names = Vec::new();
    for day in 1..=30_usize {
        let name = format!("services/2025-01-{day:02}T040000Z.zst");
        let bytes = match day % 8 {
            0 => Vec::new(),
            1 => vec![b'x'; 1000 + day],
            2 => good[..good.len() - day].to_vec(),
            3 => good.iter().enumerate().map(|(at, byte)| if at == good.len() / 2 + day { byte ^ 1 } else { *byte }).collect(),
            4 => good.clone(),
            5 => [&good[..], &vec![0; day]].concat(),
            6 => bomb.clone(),
            _ => b"longer than any that is read".to_vec(),
        };
        let path = folder.join(&name);
        fs::write(&path, bytes).unwrap();
        if day % 8 == 7 {
            fs::File::options().write(true).open(path).unwrap().set_len((64 << 20) + 1).unwrap();
        }
        names.push(name);
    }

    let link = Link::at(Ipv4Addr::LOCALHOST, pi.port());
    let entry = home.entry_on(&pi, "127.0.0.1", link.port(), &pi.known_hosts_at("127.0.0.1", link.port()));
    let mac = Mac::new(&lab, &entry, "", "");
    for (night, most) in [u64::MAX, CHEAP].into_iter().enumerate() {
        let before = link.passed();
        let said = mac.cmd().arg("sync").env("OFFSITE_LOG", "info").under("/usr/bin/python3", &["-c", PEAK]).run().exits(3);
        assert!(link.passed() - before < most, "night {night} cost {} bytes", link.passed() - before);
        let unnamed: Vec<_> = names.iter().filter(|name| !said.err.contains(*name)).collect();
        assert!(unnamed.is_empty(), "night {night} does not name {unnamed:?}:\n{}", said.err);
        said.says("22 more manifests in pi cannot be read either");
        let peak = said.out.split("peak ").nth(1).unwrap().trim().parse::<u64>().unwrap() << 10;
        assert!(peak < MEMORY, "night {night} took {peak} bytes of memory");
        assert_eq!(mac.archives(&[]), std::slice::from_ref(&archive));
    }
    let _ = mac.offsite(&["verify"]).succeeds();
}
